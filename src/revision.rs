//! Revisions: a checkpoint at one moment, where it came from and what was done to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::object::ObjectId;

/// The only encoding of a revision that this version writes and reads.
pub const REVISION_ENCODING: u32 = 1;

/// A checkpoint at one moment.
///
/// Stored as a JSON object; its name is the BLAKE3 of that text, so nothing in it ever changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// [`REVISION_ENCODING`].
    pub encoding: u32,
    /// The content.
    pub tree: ObjectId,
    /// Revisions it was made from, the one it continues first.
    pub parents: Vec<ObjectId>,
    /// The content's format, for instance `torch-zip`.
    pub format: String,
    /// BLAKE3 of the whole file, which older stores recorded. The tree names all of its bytes as well.
    pub file: Option<ObjectId>,
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// Number of tensors.
    pub tensors: u64,
    /// The migrations it has, oldest first; `None` when nothing says which.
    pub applied: Option<Vec<Applied>>,
    /// What was run or undone to make it from its first parent.
    pub steps: Vec<Step>,
    /// Who made it.
    pub actor: String,
    /// When.
    pub created: Timestamp,
    /// Why.
    pub message: String,
}

/// A migration that a checkpoint has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// Name of the migration.
    pub name: String,
    /// Its version as the checkpoint or the catalogue tells.
    pub version: Option<String>,
    /// Whether it is a final one, which opens a group.
    pub is_final: bool,
    /// Digest of the body that ran here.
    pub digest: Option<ObjectId>,
    /// The signature that the checkpoint itself records, as its framework writes it.
    pub signature: Option<String>,
    /// Whether it was run on this checkpoint, here or by its framework, and not there at birth.
    pub executed: bool,
}

/// What kind of thing a [`Step`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// An import found the migration in the checkpoint's own list.
    Register,
    /// A migration ran.
    Migrate,
    /// A migration was undone.
    Rollback,
    /// A person said that the checkpoint has the migration.
    Baseline,
    /// A migration ran again from its recorded input.
    Redo,
    /// A migration chose not to run.
    Skip,
}

impl StepKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            StepKind::Register => "register",
            StepKind::Migrate => "migrate",
            StepKind::Rollback => "rollback",
            StepKind::Baseline => "baseline",
            StepKind::Redo => "redo",
            StepKind::Skip => "skip",
        }
    }

    /// The kind that this word stands for.
    pub fn from_word(word: &str) -> Option<StepKind> {
        use StepKind::*;
        [Register, Migrate, Rollback, Baseline, Redo, Skip].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One entry of the history: what was done to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What was done.
    pub kind: StepKind,
    /// Name of the migration.
    pub migration: String,
    /// Its version, as text.
    pub version: Option<String>,
    /// The compatibility group it belongs to.
    pub group: Option<u32>,
    /// Digest of its body.
    pub digest: Option<ObjectId>,
    /// The object that holds the script as it was run.
    pub script: Option<ObjectId>,
    /// How: `run`, `restore`, `merge` or `script`.
    pub method: Option<String>,
    /// The tree before.
    pub input: ObjectId,
    /// The tree after; the same as `input` when nothing changed or the step failed.
    pub output: ObjectId,
    /// The object that holds the change record.
    pub change: Option<ObjectId>,
    /// What ran it, for instance `rustpython-0.5.0/2`.
    pub engine: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

impl Revision {
    /// The text that is stored and hashed.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a revision has no map keys other than text")
    }

    /// Reads a stored revision.
    ///
    /// # Errors
    ///
    /// If the text is no revision, or one of an encoding that this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<Revision, RevisionError> {
        #[derive(Deserialize)]
        struct Head {
            encoding: u32,
        }
        match serde_json::from_slice::<Revision>(bytes) {
            Ok(revision) if revision.encoding == REVISION_ENCODING => Ok(revision),
            Ok(revision) => Err(RevisionError::Encoding(revision.encoding)),
            // What does not read may be of an encoding that says other things.
            Err(error) => match serde_json::from_slice::<Head>(bytes) {
                Ok(head) if head.encoding != REVISION_ENCODING => Err(RevisionError::Encoding(head.encoding)),
                _ => Err(RevisionError::Json(error)),
            },
        }
    }

    /// The revision's name.
    pub fn id(&self) -> ObjectId {
        ObjectId::of(&self.encode())
    }

    /// Whether steps, or another list of migrations, set it apart from the revision that it continues.
    pub fn turns_from(&self, parent: &Revision) -> bool {
        !self.steps.is_empty() || self.applied != parent.applied
    }

    /// The migrations it has; none where nothing says which.
    pub fn applied(&self) -> &[Applied] {
        self.applied.as_deref().unwrap_or_default()
    }
}

/// Bytes that should be a revision are none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevisionError {
    /// Written by a newer version.
    #[error("revision has encoding {0}; this version of ckstore knows encoding 1")]
    Encoding(u32),
    /// Not the right JSON.
    #[error("revision cannot be read")]
    Json(#[source] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn revision() -> Revision {
        Revision {
            encoding: REVISION_ENCODING,
            tree: ObjectId::of(b"tree"),
            parents: vec![ObjectId::of(b"parent")],
            format: "torch-zip".into(),
            file: None,
            file_bytes: 7,
            tensors: 1,
            applied: None,
            steps: Vec::new(),
            actor: "ada".into(),
            created: Timestamp::UNIX_EPOCH,
            message: String::new(),
        }
    }

    #[test]
    fn a_revision_reads_back_as_written() {
        let revision = revision();
        assert_eq!(Revision::decode(&revision.encode()).unwrap(), revision);
    }

    #[test]
    fn a_newer_encoding_is_refused_by_number() {
        let text = String::from_utf8(revision().encode()).unwrap();
        let newer = text.replace("\"encoding\":1", "\"encoding\":2,\"extra\":0");
        assert!(matches!(Revision::decode(newer.as_bytes()), Err(RevisionError::Encoding(2))));
    }
}
