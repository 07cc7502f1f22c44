//! Roles that are handed to what runs code.

use detections::{Severity, cloudtrail::identity as rules};

use super::{Watch, watch};
use crate::{event::Event, found::Found, json::Object};

pub(super) const WATCHED: &[Watch] = &[
    watch(
        "ec2",
        &[
            "AssociateIamInstanceProfile",
            "ReplaceIamInstanceProfileAssociation",
            "RunInstances",
        ],
        role_passed,
    ),
    watch(
        "lambda",
        &["CreateFunction", "UpdateFunctionConfiguration"],
        role_passed,
    ),
    watch(
        "glue",
        &[
            "CreateDevEndpoint",
            "CreateJob",
            "CreateSession",
            "UpdateDevEndpoint",
            "UpdateJob",
        ],
        role_passed,
    ),
    watch(
        "cloudformation",
        &[
            "CreateChangeSet",
            "CreateStack",
            "CreateStackSet",
            "UpdateStack",
            "UpdateStackSet",
        ],
        role_passed,
    ),
    watch(
        "sagemaker",
        &[
            "CreateNotebookInstance",
            "CreateProcessingJob",
            "CreateTrainingJob",
        ],
        role_passed,
    ),
    watch(
        "codebuild",
        &["CreateProject", "UpdateProject"],
        role_passed,
    ),
    watch("ecs", &["RegisterTaskDefinition"], role_passed),
    watch(
        "datapipeline",
        &["CreatePipeline", "PutPipelineDefinition"],
        role_passed,
    ),
    watch(
        "states",
        &["CreateStateMachine", "UpdateStateMachine"],
        role_passed,
    ),
    watch("batch", &["RegisterJobDefinition"], role_passed),
    watch(
        "scheduler",
        &["CreateSchedule", "UpdateSchedule"],
        role_passed,
    ),
];

/// Where the services take the role.
const ROLES: [&str; 9] = [
    "role",
    "roleArn",
    "serviceRole",
    "taskRoleArn",
    "jobRoleArn",
    "executionRoleArn",
    "administrationRoleARN",
    "iamInstanceProfile",
    "AssociateIamInstanceProfileRequest",
];

fn role_passed(event: &Event<'_>, found: &mut Found) {
    let role = passed(&event.parameters);
    if role.is_empty() {
        return;
    }
    let shell = event.name.ends_with("DevEndpoint");
    let powerful = role.to_ascii_lowercase().contains("admin");
    if shell || powerful || event.is_person() {
        let found = found.add(&rules::ROLE_PASSED);
        found.about("role", role);
        if shell || powerful {
            found.severity(Severity::Medium);
        }
    }
}

/// The role among the parameters: at their top, or where a service nests it.
fn passed(parameters: &Object<'_>) -> String {
    let nested = [
        "containerProperties",
        "target",
        "ReplaceIamInstanceProfileAssociationRequest",
    ];
    let value = parameters.any(&ROLES);
    let value = if value.exists() {
        value
    } else {
        parameters.any(&nested).any(&ROLES)
    };
    if !value.exists() {
        return of_pipeline(parameters);
    }
    let profile = value.get("IamInstanceProfile");
    let value = if profile.exists() { profile } else { value };
    let value = if value.is_object() {
        value.any(&["arn", "name"])
    } else {
        value
    };
    value.str().into_owned()
}

/// The role of a data pipeline: each object has a list of fields, of which one may be it.
fn of_pipeline(parameters: &Object<'_>) -> String {
    let objects = parameters.get("pipelineObjects").each().into_iter();
    let mut fields = objects.flat_map(|object| object.get("fields").each());
    let role = fields.find(|field| matches!(&*field.get("key").str(), "role" | "resourceRole"));
    role.map(|field| field.get("stringValue").str().into_owned())
        .unwrap_or_default()
}
