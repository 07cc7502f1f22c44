//! Writes small databases of addresses, for tests here and in the tests of the whole host.

use serde_json::json;

/// A database of IPv4 networks, written as the format's description has it: a binary tree with
/// records of 24 bits, 16 zero bytes, the data, and the metadata behind their mark.
pub(crate) fn database(networks: &[(&str, serde_json::Value)]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut tree: Vec<[Option<Record>; 2]> = vec![[None, None]];
    for (network, record) in networks {
        let (address, length) = network.split_once('/').unwrap();
        let bits = address.parse::<std::net::Ipv4Addr>().unwrap().to_bits();
        let length: u32 = length.parse().unwrap();
        let mut node = 0;
        for depth in 0..length {
            let side = (bits >> (31 - depth) & 1) as usize;
            if depth + 1 == length {
                tree[node][side] = Some(Record::Data(data.len()));
            } else if let Some(Record::Node(next)) = tree[node][side] {
                node = next;
            } else {
                tree.push([None, None]);
                let next = tree.len() - 1;
                tree[node][side] = Some(Record::Node(next));
                node = next;
            }
        }
        encode(record, &mut data);
    }
    let mut out = Vec::new();
    for record in tree.iter().flatten() {
        let number = match record {
            None => tree.len(),
            Some(Record::Node(node)) => *node,
            Some(Record::Data(offset)) => tree.len() + 16 + offset,
        };
        out.extend_from_slice(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
    }
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    encode(
        &json!({
            "node_count": tree.len(), "record_size": 24, "ip_version": 4, "database_type": "Test",
            "languages": ["en"], "binary_format_major_version": 2, "binary_format_minor_version": 0,
            "build_epoch": 1_700_000_000, "description": { "en": "a test" },
        }),
        &mut out,
    );
    out
}

enum Record {
    Node(usize),
    Data(usize),
}

fn encode(value: &serde_json::Value, out: &mut Vec<u8>) {
    let size = |length: usize| u8::try_from(length).ok().filter(|size| *size < 29).unwrap();
    match value {
        serde_json::Value::String(text) => {
            out.push(2 << 5 | size(text.len()));
            out.extend_from_slice(text.as_bytes());
        }
        serde_json::Value::Number(number) => {
            if let Some(number) = number.as_u64() {
                let number = u16::try_from(number).unwrap();
                out.push(5 << 5 | 2);
                out.extend_from_slice(&number.to_be_bytes());
            } else {
                out.push(3 << 5 | 8);
                out.extend_from_slice(&number.as_f64().unwrap().to_be_bytes());
            }
        }
        serde_json::Value::Bool(value) => out.extend_from_slice(&[u8::from(*value), 7]),
        serde_json::Value::Array(list) => {
            out.extend_from_slice(&[size(list.len()), 4]);
            for value in list {
                encode(value, out);
            }
        }
        serde_json::Value::Object(map) => {
            out.push(7 << 5 | size(map.len()));
            for (name, value) in map {
                encode(&json!(name), out);
                match (name.as_str(), value.as_u64()) {
                    // The description of the format wants these two wider than the others.
                    ("node_count", Some(count)) => {
                        out.push(6 << 5 | 4);
                        out.extend_from_slice(&u32::try_from(count).unwrap().to_be_bytes());
                    }
                    ("build_epoch", Some(second)) => {
                        out.extend_from_slice(&[8, 2]);
                        out.extend_from_slice(&second.to_be_bytes());
                    }
                    _ => encode(value, out),
                }
            }
        }
        serde_json::Value::Null => unreachable!("the format has no null"),
    }
}
