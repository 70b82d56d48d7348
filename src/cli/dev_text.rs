//! What `lethe dev` prints: where it is, who may come, and what to type next.

use super::dev_file::{DevFile, DevTenant};
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn welcome(dir: &Path, file: &DevFile) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    let _infallible = write!(
        text,
        "Lethe is ready (development: one machine, one disk, one test CA).\n\n\
         S3 endpoint     {}\nadmin endpoint  {}\nCA certificate  {}\nall of this     {}\n\n",
        file.s3_endpoint,
        file.admin_endpoint,
        file.ca_cert,
        dir.join("dev.json").display(),
    );
    for tenant in &file.tenants {
        let _infallible = writeln!(
            text,
            "tenant {:<7} region {:<13} access key {}  secret {}",
            tenant.id,
            tenant.region,
            tenant.access_key_id,
            tenant.secret_access_key.as_str()
        );
    }
    if let Some(tenant) = file.tenants.first() {
        text.push_str(&next(file, tenant));
    }
    text
}

fn next(file: &DevFile, tenant: &DevTenant) -> String {
    let (endpoint, ca, region) = (&file.s3_endpoint, &file.ca_cert, &tenant.region);
    let (id, secret) = (&tenant.access_key_id, tenant.secret_access_key.as_str());
    format!(
        r#"
aws:
  export AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret} AWS_DEFAULT_REGION={region}
  export AWS_ENDPOINT_URL={endpoint} AWS_CA_BUNDLE='{ca}'
  aws s3 mb s3://docs && echo hello | aws s3 cp - s3://docs/hello.txt && aws s3 ls s3://docs

rclone:
  export RCLONE_CONFIG_LETHE_TYPE=s3 RCLONE_CONFIG_LETHE_PROVIDER=Other RCLONE_CONFIG_LETHE_REGION={region}
  export RCLONE_CONFIG_LETHE_ENDPOINT={endpoint} RCLONE_CA_CERT='{ca}'
  export RCLONE_CONFIG_LETHE_ACCESS_KEY_ID={id} RCLONE_CONFIG_LETHE_SECRET_ACCESS_KEY={secret}
  rclone copy ./some-directory lethe:docs/some-directory && rclone ls lethe:docs

boto3:
  import boto3
  s3 = boto3.client("s3", endpoint_url="{endpoint}", verify="{ca}", region_name="{region}",
                    aws_access_key_id="{id}", aws_secret_access_key="{secret}")
  s3.create_bucket(Bucket="from-boto3")
  s3.put_object(Bucket="from-boto3", Key="hello.txt", Body=b"hello")

Stop it with Ctrl-C; started again with the same directory, it has the same tenants and credentials.
"#
    )
}
