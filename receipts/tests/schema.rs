//! `docs/receipt.schema.json` says of the fixtures' form what the verifier says.

use base64::Engine as _;
use serde_json::{Value, json};

fn read(path: &str) -> Value {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn validator(definition: Option<&str>) -> jsonschema::Validator {
    let mut schema = read("../docs/receipt.schema.json");
    if let Some(definition) = definition {
        let definitions = schema["$defs"].take();
        schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#/$defs/{definition}"),
            "$defs": definitions,
        });
    }
    jsonschema::validator_for(&schema).unwrap()
}

fn statements(file: &Value) -> Vec<Value> {
    let payloads = file["receipts"].as_array().unwrap().iter();
    payloads
        .map(|receipt| {
            let payload = receipt["envelope"]["payload"].as_str().unwrap();
            let payload = base64::engine::general_purpose::STANDARD
                .decode(payload)
                .unwrap();
            serde_json::from_slice(&payload).unwrap_or(Value::Null)
        })
        .collect()
}

#[test]
fn schema_accepts_the_form_of_good_files() {
    let (file, statement, trust) = (
        validator(None),
        validator(Some("statement")),
        validator(Some("trust")),
    );
    let mut seen = 0;
    for case in read("tests/fixtures/expected.json").as_array().unwrap() {
        if case["verdict"] == "invalid" {
            continue;
        }
        seen += 1;
        let name = case["file"].as_str().unwrap();
        let receipt = read(&format!("tests/fixtures/{name}"));
        assert!(
            file.validate(&receipt).is_ok(),
            "{name}: {:?}",
            file.validate(&receipt).err()
        );
        for body in statements(&receipt) {
            assert!(
                statement.validate(&body).is_ok(),
                "{name}: {:?}",
                statement.validate(&body).err()
            );
        }
        let trusted = read(&format!(
            "tests/fixtures/{}",
            case["trust"].as_str().unwrap()
        ));
        assert!(
            trust.validate(&trusted).is_ok(),
            "{name}: {:?}",
            trust.validate(&trusted).err()
        );
    }
    assert!(seen >= 15);
}

#[test]
fn schema_refuses_statements_of_another_form() {
    let statement = validator(Some("statement"));
    // What a schema cannot say: a day that does not exist, length in bytes.
    let beyond = [
        "time-that-is-no-day.receipt.json",
        "text-too-long.receipt.json",
    ];
    let mut seen = 0;
    for case in read("tests/fixtures/expected.json").as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        if case["check"] != "statement-format" || beyond.contains(&name) {
            continue;
        }
        seen += 1;
        let receipt = read(&format!("tests/fixtures/{name}"));
        let refused = statements(&receipt)
            .iter()
            .any(|body| !statement.is_valid(body));
        assert!(refused, "{name}");
    }
    assert!(seen >= 12);
}

#[test]
fn schema_refuses_unknown_fields_everywhere() {
    fn objects(schema: &Value, path: &str, open: &mut Vec<String>) {
        if let Some(members) = schema.as_object() {
            if members.contains_key("properties")
                && members.get("additionalProperties") != Some(&json!(false))
            {
                open.push(path.to_owned());
            }
            let listed = |name: &str| members.get(name).and_then(Value::as_array).map(Vec::len);
            if let Some(properties) = members.get("properties").and_then(Value::as_object)
                && listed("required") != Some(properties.len())
            {
                open.push(format!("{path}: required"));
            }
            for (name, inner) in members {
                objects(inner, &format!("{path}/{name}"), open);
            }
        } else if let Some(items) = schema.as_array() {
            for (nth, inner) in items.iter().enumerate() {
                objects(inner, &format!("{path}/{nth}"), open);
            }
        }
    }
    let mut open = Vec::new();
    objects(&read("../docs/receipt.schema.json"), "", &mut open);
    assert!(open.is_empty(), "{open:?}");
}
