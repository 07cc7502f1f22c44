//! Which class and activity a call is: `classes.csv`, and for all other calls API Activity with an activity
//! that follows from the verb.

use super::{Version, names::Slot};

/// The table, read once by each encoder.
const TABLE: &str = include_str!("classes.csv");

/// A class with the activities that are used of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) uid: u32,
    pub(super) name: &'static str,
    pub(super) category_uid: u32,
    pub(super) category: &'static str,
    activities: &'static [(u32, &'static str)],
}

impl Class {
    /// The caption of an activity, and its number: `Unknown` for one that the class has not.
    pub(super) fn activity(&self, uid: u32) -> (u32, &'static str) {
        let mut activities = self.activities.iter().chain(&[UNKNOWN, OTHER]);
        let found = activities.find(|(known, _)| *known == uid);
        *found.unwrap_or(&UNKNOWN)
    }
}

const UNKNOWN: (u32, &str) = (0, "Unknown");
const OTHER: (u32, &str) = (99, "Other");
const IDENTITY: (u32, &str) = (3, "Identity & Access Management");
const FINDINGS: (u32, &str) = (2, "Findings");

const fn class(
    uid: u32,
    name: &'static str,
    category: (u32, &'static str),
    activities: &'static [(u32, &'static str)],
) -> Class {
    Class {
        uid,
        name,
        category_uid: category.0,
        category: category.1,
        activities,
    }
}

pub(super) static API_ACTIVITY: Class = class(
    6003,
    "API Activity",
    (6, "Application Activity"),
    &[(1, "Create"), (2, "Read"), (3, "Update"), (4, "Delete")],
);
pub(super) static ACCOUNT_CHANGE: Class = class(
    3001,
    "Account Change",
    IDENTITY,
    &[
        (1, "Create"),
        (2, "Enable"),
        (3, "Password Change"),
        (4, "Password Reset"),
        (5, "Disable"),
        (6, "Delete"),
        (7, "Attach Policy"),
        (8, "Detach Policy"),
        (10, "MFA Factor Enable"),
        (11, "MFA Factor Disable"),
    ],
);
pub(super) static AUTHENTICATION: Class = class(
    3002,
    "Authentication",
    IDENTITY,
    &[
        (1, "Logon"),
        (2, "Logoff"),
        (3, "Authentication Ticket"),
        (7, "Account Switch"),
    ],
);
pub(super) static AUTHORIZE_SESSION: Class = class(
    3003,
    "Authorize Session",
    IDENTITY,
    &[(1, "Assign Privileges")],
);
pub(super) static ENTITY_MANAGEMENT: Class = class(
    3004,
    "Entity Management",
    IDENTITY,
    &[(1, "Create"), (3, "Update"), (4, "Delete")],
);
pub(super) static USER_ACCESS: Class = class(
    3005,
    "User Access Management",
    IDENTITY,
    &[(1, "Assign Privileges"), (2, "Revoke Privileges")],
);
pub(super) static DETECTION_FINDING: Class = class(
    2004,
    "Detection Finding",
    FINDINGS,
    &[(1, "Create"), (2, "Update")],
);
pub(super) static DATA_SECURITY_FINDING: Class = class(
    2006,
    "Data Security Finding",
    FINDINGS,
    &[(1, "Create"), (2, "Update")],
);

static OF_EVENTS: [&Class; 6] = [
    &API_ACTIVITY,
    &ACCOUNT_CHANGE,
    &AUTHENTICATION,
    &AUTHORIZE_SESSION,
    &ENTITY_MANAGEMENT,
    &USER_ACCESS,
];

/// What a call is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) class: &'static Class,
    pub(super) activity: u32,
    /// The request's member that names whom or what the call is about; nothing where that is the caller.
    pub(super) subject: Option<Slot>,
    /// The request's member that names what is given or taken.
    pub(super) detail: Option<Slot>,
}

/// The table for one version.
#[derive(Debug)]
pub(super) struct Classes {
    /// Sorted by call, and of one call by service.
    calls: Vec<(&'static str, &'static str, Choice)>,
}

impl Classes {
    /// Reads the table.
    ///
    /// # Panics
    /// When the table is wrong, which a test would find.
    pub(super) fn new(version: Version) -> Self {
        let mut calls: Vec<_> = TABLE
            .lines()
            .skip(1)
            .map(|line| row(line, version).expect("the table is right"))
            .collect();
        calls.sort_unstable_by_key(|(name, source, _)| (*name, *source));
        Self { calls }
    }

    /// The choice for a call of a service such as `iam.amazonaws.com`, where the table has it.
    pub(super) fn find(&self, source: &str, name: &str) -> Option<Choice> {
        let service = source.split('.').next()?;
        let found = self
            .calls
            .binary_search_by_key(&(name, service), |(name, service, _)| (*name, *service))
            .ok()?;
        Some(self.calls[found].2)
    }
}

fn row(line: &'static str, version: Version) -> Option<(&'static str, &'static str, Choice)> {
    let mut fields = line.split(',');
    let mut next = || fields.next();
    let (source, name) = (next()?, next()?);
    let (newest, newest_activity, old, old_activity) = (next()?, next()?, next()?, next()?);
    let (uid, activity) = match version {
        Version::V1_8_0 => (newest, newest_activity),
        Version::V1_1_0 => (old, old_activity),
    };
    let uid: u32 = uid.parse().ok()?;
    let choice = Choice {
        class: OF_EVENTS.iter().find(|class| class.uid == uid)?,
        activity: activity.parse().ok()?,
        subject: member(next()?)?.1,
        detail: member(next()?)?.1,
    };
    Some((name, source, choice))
}

/// The members of requests that the table names.
const MEMBERS: [(&str, Option<Slot>); 9] = [
    ("", None),
    ("actor", None),
    ("userName", Some(Slot::RequestUser)),
    ("roleName", Some(Slot::RequestRole)),
    ("groupName", Some(Slot::RequestGroup)),
    ("policyName", Some(Slot::RequestPolicyName)),
    ("policyArn", Some(Slot::RequestPolicyArn)),
    ("roleArn", Some(Slot::RequestRoleArn)),
    ("instanceProfileName", Some(Slot::RequestProfile)),
];

fn member(name: &str) -> Option<&'static (&'static str, Option<Slot>)> {
    MEMBERS.iter().find(|(known, _)| *known == name)
}

/// What calls begin with, by activity of API Activity.
const VERBS: [(u32, &[&str]); 4] = [
    (
        2,
        &[
            "BatchGet", "Check", "Decode", "Describe", "Detect", "Download", "Estimate", "Filter",
            "Get", "Head", "List", "Lookup", "Preview", "Query", "Scan", "Search", "Select",
            "Simulate", "Test", "Validate", "Verify", "View",
        ],
    ),
    (
        1,
        &[
            "Allocate", "Clone", "Copy", "Create", "Generate", "Import", "Issue", "Launch",
            "Publish", "Register", "Request", "Restore", "Run", "Upload",
        ],
    ),
    (
        3,
        &[
            "Accept",
            "Activate",
            "Add",
            "Apply",
            "Associate",
            "Attach",
            "Authorize",
            "Cancel",
            "Change",
            "Deactivate",
            "Detach",
            "Disable",
            "Disassociate",
            "Enable",
            "Modify",
            "Move",
            "Put",
            "Reboot",
            "Remove",
            "Rename",
            "Replace",
            "Reset",
            "Resume",
            "Revoke",
            "Rotate",
            "Set",
            "Start",
            "Stop",
            "Suspend",
            "Tag",
            "Untag",
            "Update",
        ],
    ),
    (
        4,
        &[
            "BatchDelete",
            "Delete",
            "Deregister",
            "Destroy",
            "Purge",
            "Release",
            "Terminate",
        ],
    ),
];

/// The activity of API Activity that a call is.
pub(super) fn activity(name: &str, read_only: Option<bool>) -> u32 {
    let begins = |verb: &&str| {
        name.strip_prefix(*verb)
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_lowercase()))
    };
    let by_verb = VERBS.iter().find(|(_, verbs)| verbs.iter().any(&begins));
    match by_verb {
        Some((activity, _)) => *activity,
        None if read_only == Some(true) => 2,
        None => OTHER.0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_known_classes_activities_and_members() {
        for version in [Version::V1_8_0, Version::V1_1_0] {
            for line in TABLE.lines().skip(1) {
                let (name, _, choice) = row(line, version).unwrap_or_else(|| panic!("{line}"));
                let (uid, _) = choice.class.activity(choice.activity);
                assert_eq!(uid, choice.activity, "{line}");
                let needs_detail = matches!(choice.class.uid, 3003 | 3005);
                assert!(choice.detail.is_some() || !needs_detail, "{name}");
            }
        }
        let rows = TABLE.lines().skip(1).count();
        let classes = Classes::new(Version::V1_8_0);
        let mut calls = classes.calls.clone();
        calls.dedup_by_key(|(name, source, _)| (*name, *source));
        assert_eq!(calls.len(), rows, "a call comes twice");
    }

    #[test]
    fn a_call_is_found_by_service_and_name() {
        let classes = Classes::new(Version::V1_8_0);
        let class = |source, name| classes.find(source, name).map(|choice| choice.class.uid);
        assert_eq!(class("iam.amazonaws.com", "CreateUser"), Some(3001));
        assert_eq!(class("iam.amazonaws.com", "AttachUserPolicy"), Some(3005));
        assert_eq!(class("transfer.amazonaws.com", "CreateUser"), None);
        assert_eq!(class("", ""), None);
        let old = Classes::new(Version::V1_1_0);
        let found = old.find("iam.amazonaws.com", "AttachUserPolicy").unwrap();
        assert_eq!((found.class.uid, found.activity), (3001, 7));
    }

    #[test]
    fn other_calls_are_told_by_their_verb() {
        for (name, read_only, expected) in [
            ("DescribeInstances", None, 2),
            ("RunInstances", Some(false), 1),
            ("PutObject", None, 3),
            ("TerminateInstances", None, 4),
            ("Settle", None, 99),
            ("AssumeRole", Some(true), 2),
            ("Invoke", Some(false), 99),
        ] {
            assert_eq!(activity(name, read_only), expected, "{name}");
        }
    }
}
