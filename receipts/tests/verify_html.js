// Runs the script of verify.html over the fixtures: `node receipts/tests/verify_html.js`.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

const page = fs.readFileSync(path.join(__dirname, "../verify.html"), "utf8");
const script = page.match(/<script>([^]*)<\/script>/)[1];
const loaded = { exports: {} };
new Function("module", script)(loaded);

const fixture = (name) => new Uint8Array(fs.readFileSync(path.join(__dirname, "fixtures", name)));
const expected = JSON.parse(fs.readFileSync(path.join(__dirname, "fixtures/expected.json"), "utf8"));

(async () => {
  let wrong = 0;
  for (const { file, trust, verdict, check } of expected) {
    const report = await loaded.exports.verify(fixture(file), fixture(trust));
    if (process.argv[2] === "--checks") {
      for (const each of report.checks) console.log(`${file} ${each.name} ${each.receipt} ${each.outcome}`);
    }
    if (report.verdict !== verdict || report.deciding !== check) {
      wrong += 1;
      console.error(`${file}: ${report.verdict} by ${report.deciding}, not ${verdict} by ${check}`);
    }
  }
  console.error(`${expected.length} fixtures, ${wrong} wrong`);
  process.exitCode = wrong === 0 && expected.length > 30 ? 0 : 1;
})();
