//! Signature version 4, computed anew from the request as it arrived.

use aws_lc_rs::{digest, hmac};
use sluicegate::digest::hex;
use time::{Duration, OffsetDateTime, PrimitiveDateTime, macros::format_description};

use super::{ACCESS_KEY, REGION, Request, SECRET_KEY};

/// Says what is wrong with the signature of a request.
pub(super) fn check(request: &Request) -> Result<(), String> {
    let header = |name: &str| request.header(name).ok_or(format!("{name} is missing"));
    let authorization = header("authorization")?;
    let date = header("x-amz-date")?;
    let rest = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .ok_or("another algorithm")?;
    let part = |name: &str| {
        let found = rest
            .split(',')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        found.ok_or(format!("{name} is missing"))
    };
    let (credential, signed, signature) = (
        part("Credential")?,
        part("SignedHeaders")?,
        part("Signature")?,
    );
    let day = date.get(..8).ok_or("x-amz-date is no date")?;
    let scope = format!("{day}/{REGION}/securityhub/aws4_request");
    if credential != format!("{ACCESS_KEY}/{scope}") {
        return Err(format!("the credential {credential} is not for {scope}"));
    }
    check_time(date)?;
    for needed in ["host", "x-amz-date"] {
        if !signed.split(';').any(|name| name == needed) {
            return Err(format!("{needed} is not signed"));
        }
    }
    let mut headers = String::new();
    for name in signed.split(';') {
        headers.extend([name, ":", header(name)?.trim(), "\n"]);
    }
    let path = request.uri.path();
    let query = request.uri.query().unwrap_or_default();
    let canonical = format!(
        "{}\n{path}\n{query}\n{headers}\n{signed}\n{}",
        request.method,
        hex(sha256(&request.body).as_ref())
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(sha256(canonical.as_bytes()).as_ref())
    );
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in scope.split('/') {
        key = mac(&key, part.as_bytes());
    }
    if hex(&mac(&key, text.as_bytes())) == signature {
        Ok(())
    } else {
        Err("the signature does not match".to_owned())
    }
}

fn check_time(date: &str) -> Result<(), String> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = PrimitiveDateTime::parse(date, format)
        .map_err(|_| "x-amz-date is no date")?
        .assume_utc();
    let skew = OffsetDateTime::now_utc() - date;
    if skew.abs() > Duration::minutes(5) {
        Err("signed at another time".to_owned())
    } else {
        Ok(())
    }
}

fn sha256(data: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, data)
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
        .as_ref()
        .to_vec()
}
