//! A folder of objects in the bucket's own layout.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::Path,
};

use fastrand::Rng;

use super::{
    MadeAttack, MadeObject, MadeSecret, Plan, SecretKind, SecretPlace, Truth,
    account::{Account, REGIONS, pick, uuid},
    attack::Attack,
    event::{Scene, date, stamp},
    object::{ObjectWriter, Written, key, write_ordinary},
    secret,
};
use crate::{digest::hex, event::ObjectKind};

/// Writes the objects of a plan below `root` and says what is in them. Each file appears under its name
/// only when it is complete.
///
/// # Errors
/// When a file cannot be written.
pub fn write_tree(root: &Path, plan: &Plan) -> io::Result<Truth> {
    let mut rng = Rng::with_seed(plan.seed);
    let accounts: Vec<_> = (0..plan.accounts.max(1))
        .map(|position| Account::new(&mut rng, position))
        .collect();
    let mut tree = Tree {
        root,
        rng,
        truth: Truth::default(),
    };
    for (position, items) in tree.lay_out(plan).into_iter().enumerate() {
        let account = pick(&mut tree.rng, &accounts);
        let region = *pick(&mut tree.rng, &REGIONS);
        let delivered_s = plan.start_s + 300 * i64::try_from(position / 4).unwrap_or(0);
        tree.write_log(
            Scene {
                account,
                region,
                time_s: delivered_s,
            },
            &items,
        )?;
    }
    if plan.companions {
        tree.write_insight(&accounts[0], plan.start_s)?;
        tree.write_digest(&accounts[0], plan.start_s + 3600)?;
    }
    Ok(tree.truth)
}

/// What stands at one position of an object.
#[derive(Clone, Copy, Debug)]
enum Item {
    Ordinary,
    Attack(Attack),
    Secret(SecretKind, SecretPlace),
}

struct Tree<'a> {
    root: &'a Path,
    rng: Rng,
    truth: Truth,
}

impl Tree<'_> {
    /// Decides what stands where: one list an object.
    fn lay_out(&mut self, plan: &Plan) -> Vec<Vec<Item>> {
        let mean = plan.events_per_object.max(2);
        let mut objects: Vec<Vec<Item>> = (0..plan.objects.max(1))
            .map(|_| vec![Item::Ordinary; self.rng.usize(mean / 2..=mean + mean / 2)])
            .collect();
        let attacks = Attack::ALL
            .iter()
            .cycle()
            .take(plan.attacks * Attack::ALL.len());
        let secrets = (0..plan.secrets).map(secret::pair);
        let special = attacks
            .map(|attack| Item::Attack(*attack))
            .chain(secrets.map(|(kind, place)| Item::Secret(kind, place)));
        for item in special {
            let object = self.rng.usize(..objects.len());
            let position = self.rng.usize(..=objects[object].len());
            objects[object].insert(position, item);
        }
        objects
    }

    fn write_log(&mut self, scene: Scene<'_>, items: &[Item]) -> io::Result<()> {
        let key = key(
            &mut self.rng,
            "CloudTrail",
            &scene.account.id,
            scene.region,
            scene.time_s,
        );
        let mut events = Vec::with_capacity(items.len() + 40);
        for item in items {
            let time_s = scene.time_s - self.rng.i64(60..600);
            self.write_item(Scene { time_s, ..scene }, *item, &key, &mut events);
        }
        let written = self.store(&key, |out| {
            let mut writer = ObjectWriter::new(out, 6)?;
            events.iter().try_for_each(|event| writer.event(event))?;
            writer.finish()
        })?;
        self.note(key, ObjectKind::Log, written);
        Ok(())
    }

    fn write_item(&mut self, scene: Scene<'_>, item: Item, key: &str, events: &mut Vec<String>) {
        let index = |events: &Vec<String>| u32::try_from(events.len()).unwrap_or(u32::MAX);
        match item {
            Item::Ordinary => {
                let mut event = String::new();
                if let Some(token) = write_ordinary(&mut self.rng, scene, &mut event) {
                    let found = (SecretKind::SessionToken, SecretPlace::AssumedCredentials);
                    self.note_secret(found, token, key, index(events));
                }
                events.push(event);
            }
            Item::Secret(kind, place) => {
                let mut event = String::new();
                let value = secret::write(&mut self.rng, scene, kind, place, &mut event);
                self.note_secret((kind, place), value, key, index(events));
                events.push(event);
            }
            Item::Attack(attack) => {
                let actor = attack.actor(&mut self.rng, scene.account);
                let first = index(events);
                for step in 0..attack.events() {
                    let time_s = scene.time_s + 3 * i64::try_from(step).unwrap_or(0);
                    let mut event = String::new();
                    attack.write(
                        &mut self.rng,
                        Scene { time_s, ..scene },
                        actor,
                        step,
                        &mut event,
                    );
                    events.push(event);
                }
                self.truth.attacks.push(MadeAttack {
                    attack,
                    account: scene.account.id.clone(),
                    principal: actor.arn.clone(),
                    key: key.to_owned(),
                    indexes: (first..index(events)).collect(),
                });
            }
        }
    }

    /// A pair of Insight events, as the start and the end of an unusual rate.
    fn write_insight(&mut self, account: &Account, time_s: i64) -> io::Result<()> {
        let region = REGIONS[0];
        let key = key(
            &mut self.rng,
            "CloudTrail-Insight",
            &account.id,
            region,
            time_s,
        );
        let shared = uuid(&mut self.rng);
        let events: Vec<_> = ["Start", "End"]
            .map(|state| insight(&mut self.rng, account, time_s, &shared, state))
            .into();
        let written = self.store(&key, |out| {
            let mut writer = ObjectWriter::new(out, 6)?;
            events.iter().try_for_each(|event| writer.event(event))?;
            writer.finish()
        })?;
        self.note(key, ObjectKind::Insight, written);
        Ok(())
    }

    /// A digest over the account's objects in the first region. A folder has no place for its signature,
    /// which is metadata of the object.
    fn write_digest(&mut self, account: &Account, end_s: i64) -> io::Result<()> {
        let region = REGIONS[0];
        let (mut start, mut end) = (String::new(), String::new());
        stamp(end_s - 3600, &mut start);
        stamp(end_s, &mut end);
        let id = &account.id;
        let key = format!(
            "AWSLogs/{id}/CloudTrail-Digest/{region}/{}/{id}_CloudTrail-Digest_{region}_organization_{region}_{}.json.gz",
            date(end_s),
            end.replace(['-', ':'], ""),
        );
        let prefix = format!("AWSLogs/{id}/CloudTrail/{region}/");
        let files: Vec<_> = self.truth.objects.iter().filter(|object| object.key.starts_with(&prefix)).map(|object| {
            serde_json::json!({"s3Bucket": BUCKET, "s3Object": object.key, "hashValue": hex(&object.sha256), "hashAlgorithm": "SHA-256", "newestEventTime": end, "oldestEventTime": start})
        }).collect();
        let digest = serde_json::json!({
            "awsAccountId": id, "digestStartTime": start, "digestEndTime": end, "digestS3Bucket": BUCKET, "digestS3Object": key,
            "digestPublicKeyFingerprint": format!("{:032x}", self.rng.u128(..)), "digestSignatureAlgorithm": "SHA256withRSA",
            "newestEventTime": end, "oldestEventTime": start, "previousDigestS3Bucket": null, "previousDigestS3Object": null,
            "previousDigestHashValue": null, "previousDigestHashAlgorithm": null, "previousDigestSignature": null, "logFiles": files,
        })
        .to_string();
        let written = self.store(&key, |mut out| {
            let mut gzip = flate2::write::GzEncoder::new(&mut out, flate2::Compression::default());
            gzip.write_all(digest.as_bytes())?;
            gzip.finish()?;
            Ok(Written {
                events: 0,
                inflated_bytes: digest.len() as u64,
                stored_bytes: 0,
                sha256: crate::digest::sha256(&[digest.as_bytes()]),
            })
        })?;
        self.note(key, ObjectKind::Digest, written);
        Ok(())
    }

    /// Writes a file under a hidden name and then gives it its own.
    fn store(
        &self,
        key: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<Written>,
    ) -> io::Result<Written> {
        let path = self.root.join(key);
        let folder = path.parent().unwrap_or(self.root);
        fs::create_dir_all(folder)?;
        let hidden = folder.join(".being-written");
        let mut out = BufWriter::new(File::create(&hidden)?);
        let mut written = write(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        written.stored_bytes = file.metadata()?.len();
        fs::rename(&hidden, &path)?;
        Ok(written)
    }

    fn note(&mut self, key: String, kind: ObjectKind, written: Written) {
        self.truth.objects.push(MadeObject {
            key,
            kind,
            events: written.events,
            inflated_bytes: written.inflated_bytes,
            stored_bytes: written.stored_bytes,
            sha256: written.sha256,
        });
    }

    fn note_secret(
        &mut self,
        (kind, place): (SecretKind, SecretPlace),
        value: String,
        key: &str,
        index: u32,
    ) {
        self.truth.secrets.push(MadeSecret {
            kind,
            place,
            value,
            key: key.to_owned(),
            index,
        });
    }
}

/// The name that stands for the bucket in a digest.
const BUCKET: &str = "leanda-ng-cloudtrail-test-123456789012";

fn insight(rng: &mut Rng, account: &Account, time_s: i64, shared: &str, state: &str) -> String {
    let mut time = String::new();
    stamp(time_s, &mut time);
    let (id, event, region) = (&account.id, uuid(rng), REGIONS[0]);
    format!(
        r#"{{"eventVersion":"1.11","eventTime":"{time}","awsRegion":"{region}","eventID":"{event}","eventType":"AwsCloudTrailInsight","recipientAccountId":"{id}","sharedEventID":"{shared}","insightDetails":{{"state":"{state}","eventSource":"iam.amazonaws.com","eventName":"ListRoles","insightType":"ApiCallRateInsight","insightContext":{{"statistics":{{"baseline":{{"average":0.1}},"insight":{{"average":9.5}},"insightDuration":5,"baselineDuration":10080}},"attributions":[{{"attribute":"userIdentityArn","insight":[{{"value":"arn:aws:iam::{id}:user/farid","average":9.5}}],"baseline":[]}}]}}}},"eventCategory":"Insight"}}"#
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn small() -> Plan {
        Plan {
            objects: 12,
            events_per_object: 20,
            secrets: 120,
            ..Plan::default()
        }
    }

    fn inflated(root: &Path, key: &str) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(File::open(root.join(key)).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn every_object_holds_what_the_truth_says() {
        let folder = tempfile::tempdir().unwrap();
        let truth = write_tree(folder.path(), &small()).unwrap();
        assert_eq!(truth.objects.len(), 14);
        for object in &truth.objects {
            let text = inflated(folder.path(), &object.key);
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let events = json["Records"].as_array().map_or(0, Vec::len);
            assert_eq!(events as u64, object.events, "{}", object.key);
            assert_eq!(crate::digest::sha256(&[text.as_bytes()]), object.sha256);
            assert_eq!(
                fs::metadata(folder.path().join(&object.key)).unwrap().len(),
                object.stored_bytes
            );
        }
    }

    #[test]
    fn every_secret_stands_where_the_truth_says() {
        let folder = tempfile::tempdir().unwrap();
        let truth = write_tree(folder.path(), &small()).unwrap();
        let planted = truth
            .secrets
            .iter()
            .filter(|secret| secret.place != SecretPlace::AssumedCredentials);
        let pairs: std::collections::HashSet<_> =
            planted.map(|secret| (secret.kind, secret.place)).collect();
        assert_eq!(pairs.len(), 120);
        for secret in &truth.secrets {
            let json: serde_json::Value =
                serde_json::from_str(&inflated(folder.path(), &secret.key)).unwrap();
            let event = json["Records"][secret.index as usize].to_string();
            assert!(
                event.contains(&secret.value),
                "{secret:?} is not in {event}"
            );
        }
    }

    #[test]
    fn every_attack_is_played_once_a_round() {
        let folder = tempfile::tempdir().unwrap();
        let truth = write_tree(
            folder.path(),
            &Plan {
                attacks: 2,
                ..small()
            },
        )
        .unwrap();
        for attack in Attack::ALL {
            let played: Vec<_> = truth
                .attacks
                .iter()
                .filter(|made| made.attack == attack)
                .collect();
            assert_eq!(played.len(), 2);
            for made in played {
                assert_eq!(made.indexes.len(), attack.events());
                let json: serde_json::Value =
                    serde_json::from_str(&inflated(folder.path(), &made.key)).unwrap();
                for index in &made.indexes {
                    assert_eq!(
                        json["Records"][*index as usize]["userIdentity"]["arn"],
                        made.principal.as_str()
                    );
                }
            }
        }
    }
}
