//! Where old objects lie: a folder, or a prefix of a bucket.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures_util::stream;
use tokio::io::AsyncReadExt as _;

use crate::{
    event::{Object, ObjectKind, ObjectRef},
    source::{
        Body, OpenObject,
        layout::{self, Layout},
    },
};

/// Bytes that are read from a file at once.
const PIECE: usize = 256 << 10;
/// Folders within folders.
const MAX_DEPTH: usize = 32;

/// Where old objects lie.
#[derive(Debug)]
pub enum Place {
    /// A folder, with all below it: every file that ends in `.json.gz`, whatever its path looks like.
    Folder(PathBuf),
    /// A prefix of a bucket: every object whose key fits CloudTrail's layout.
    #[cfg(feature = "sqs")]
    Bucket {
        /// The way into the bucket.
        objects: Box<crate::source::object::Objects>,
        /// The bucket, which must be one of those that may be read.
        bucket: String,
        /// What the keys begin with.
        prefix: String,
    },
}

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Which.
    pub reference: ObjectRef,
    /// Stored bytes.
    pub size: u64,
}

impl Place {
    /// All objects that have events, in the order of their keys.
    ///
    /// # Errors
    /// When the folder or the bucket cannot be read, or nothing is there.
    pub async fn list(&self) -> anyhow::Result<Vec<Listed>> {
        let mut listed = match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                let walk = move || {
                    let mut listed = Vec::new();
                    walk(&folder, &folder, 0, &mut listed).map(|()| listed)
                };
                tokio::task::spawn_blocking(walk)
                    .await
                    .context("failed to list a folder")??
            }
            #[cfg(feature = "sqs")]
            Self::Bucket {
                objects,
                bucket,
                prefix,
            } => {
                let all = objects.list(bucket, prefix).await?;
                all.into_iter()
                    .map(|(reference, size)| Listed { reference, size })
                    .collect()
            }
        };
        listed.retain(|object| kind(&object.reference.key).has_events());
        listed.sort();
        ensure!(!listed.is_empty(), "no object with events is there");
        Ok(listed)
    }

    /// Opens one of them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn open(&self, reference: &ObjectRef) -> anyhow::Result<OpenObject> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(&reference.key);
                let failed = || format!("failed to read {}", path.display());
                let file = tokio::fs::File::open(&path).await.with_context(failed)?;
                let size = file.metadata().await.with_context(failed)?.len();
                Ok(OpenObject {
                    object: Object::new(reference.clone(), "file".to_owned(), kind(&reference.key)),
                    size: Some(size),
                    body: pieces(file, path),
                })
            }
            #[cfg(feature = "sqs")]
            Self::Bucket { objects, .. } => objects.open(reference).await.map_err(Into::into),
        }
    }
}

/// The kind that a key tells; of a file with a name of its own, that of ordinary logs.
fn kind(key: &str) -> ObjectKind {
    match layout::of(key) {
        Layout::CloudTrail(kind) => kind,
        _ => ObjectKind::Log,
    }
}

fn walk(root: &Path, folder: &Path, depth: usize, listed: &mut Vec<Listed>) -> anyhow::Result<()> {
    if depth > MAX_DEPTH {
        bail!("{} has folders deeper than {MAX_DEPTH}", root.display());
    }
    let failed = || format!("failed to read {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        // A link may lead anywhere, in a circle too.
        let about = std::fs::symlink_metadata(&path).with_context(failed)?;
        if about.is_dir() {
            walk(root, &path, depth + 1, listed)?;
        } else if about.is_file() {
            let key = path.strip_prefix(root).unwrap_or(&path).to_str();
            let Some(key) = key.filter(|key| key.ends_with(".json.gz")) else {
                continue;
            };
            listed.push(Listed {
                reference: ObjectRef {
                    bucket: "folder".to_owned(),
                    key: key.to_owned(),
                    version: None,
                },
                size: about.len(),
            });
        }
    }
    Ok(())
}

fn pieces(file: tokio::fs::File, path: PathBuf) -> Body {
    Box::pin(stream::try_unfold((file, path), |(mut file, path)| async {
        let mut piece = vec![0; PIECE];
        let read = file.read(&mut piece).await;
        let count = read.with_context(|| format!("failed to read {}", path.display()))?;
        piece.truncate(count);
        Ok((count > 0).then(|| (Bytes::from(piece), (file, path))))
    }))
}
