//! The members of CloudTrail's records that the mapping knows, in the order in which CloudTrail writes them.
//!
//! What is named here and has no place in a class, and what is not named at all, goes to `unmapped`.

/// Declares the slots, one a member; `COUNT` is their number.
macro_rules! slots {
    ($($name:ident),* $(,)?) => {
        /// One known member; the position of its [`Cell`](super::walk::Cell).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Slot { $($name),* }
        /// How many there are.
        pub(super) const COUNT: usize = [$(Slot::$name),*].len();
    };
}

slots!(
    Root,
    EventVersion,
    UserIdentity,
    EventTime,
    EventSource,
    EventName,
    AwsRegion,
    SourceAddress,
    UserAgent,
    ErrorCode,
    ErrorMessage,
    Request,
    Response,
    Additional,
    RequestId,
    EventId,
    ReadOnly,
    Resources,
    EventType,
    ApiVersion,
    ManagementEvent,
    RecipientAccount,
    ServiceDetails,
    SharedEventId,
    VpcEndpoint,
    VpcEndpointAccount,
    EventCategory,
    Addendum,
    FromConsole,
    EdgeDevice,
    TlsDetails,
    InsightDetails,
    EventContext,
    SummaryId,
    SummaryAccount,
    TimeWindow,
    Summary,
    IdentityType,
    PrincipalId,
    Arn,
    AccountId,
    AccessKeyId,
    UserName,
    SessionContext,
    InvokedBy,
    IdentityProvider,
    OnBehalfOf,
    InScopeOf,
    CredentialId,
    BehalfUser,
    BehalfStore,
    SessionIssuer,
    WebIdentity,
    Attributes,
    AssumedRoot,
    SourceIdentity,
    RoleDelivery,
    IssuerType,
    IssuerPrincipal,
    IssuerArn,
    IssuerAccount,
    IssuerName,
    FederatedProvider,
    WebIdentityAttributes,
    CreationDate,
    MfaAuthenticated,
    TlsVersion,
    CipherSuite,
    HostHeader,
    KeyExchange,
    WindowStart,
    WindowEnd,
    WindowSize,
    TypedName,
    MfaUsed,
    LoginTo,
    BytesIn,
    BytesOut,
    SignatureVersion,
    SignedCipher,
    AuthenticationMethod,
    HostId,
    RequestUser,
    RequestRole,
    RequestGroup,
    RequestPolicyName,
    RequestPolicyArn,
    RequestRoleArn,
    RequestSession,
    RequestProfile,
    ConsoleLogin,
    AssumedUser,
    AssumedArn,
    AssumedId,
    Credentials,
    NewKey,
    NewUser,
    NewUserArn,
    NewRole,
    NewRoleArn,
    InsightSource,
    InsightName,
);

/// How the inside of an object is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    /// Not at all: the value is placed as it is, or not.
    Whole,
    /// Each member has a place of its own.
    Apart(&'static [Member]),
    /// It is placed as it is, and some members of it are read besides.
    Peeked(&'static [Member]),
}

/// A known member of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) slot: Slot,
    pub(super) inside: Inside,
}

const fn whole(name: &'static str, slot: Slot) -> Member {
    let inside = Inside::Whole;
    Member { name, slot, inside }
}

const fn apart(name: &'static str, slot: Slot, members: &'static [Member]) -> Member {
    let inside = Inside::Apart(members);
    Member { name, slot, inside }
}

const fn peeked(name: &'static str, slot: Slot, members: &'static [Member]) -> Member {
    let inside = Inside::Peeked(members);
    Member { name, slot, inside }
}

/// A record.
pub(super) const RECORD: &[Member] = &[
    whole("eventVersion", Slot::EventVersion),
    apart("userIdentity", Slot::UserIdentity, IDENTITY),
    whole("eventTime", Slot::EventTime),
    whole("eventSource", Slot::EventSource),
    whole("eventName", Slot::EventName),
    whole("awsRegion", Slot::AwsRegion),
    whole("sourceIPAddress", Slot::SourceAddress),
    whole("userAgent", Slot::UserAgent),
    whole("errorCode", Slot::ErrorCode),
    whole("errorMessage", Slot::ErrorMessage),
    peeked("requestParameters", Slot::Request, REQUEST),
    peeked("responseElements", Slot::Response, RESPONSE),
    apart("additionalEventData", Slot::Additional, ADDITIONAL),
    whole("requestID", Slot::RequestId),
    whole("eventID", Slot::EventId),
    whole("readOnly", Slot::ReadOnly),
    whole("resources", Slot::Resources),
    whole("eventType", Slot::EventType),
    whole("apiVersion", Slot::ApiVersion),
    whole("managementEvent", Slot::ManagementEvent),
    whole("recipientAccountId", Slot::RecipientAccount),
    whole("serviceEventDetails", Slot::ServiceDetails),
    whole("sharedEventID", Slot::SharedEventId),
    whole("vpcEndpointId", Slot::VpcEndpoint),
    whole("vpcEndpointAccountId", Slot::VpcEndpointAccount),
    whole("eventCategory", Slot::EventCategory),
    whole("addendum", Slot::Addendum),
    whole("sessionCredentialFromConsole", Slot::FromConsole),
    whole("edgeDeviceDetails", Slot::EdgeDevice),
    apart("tlsDetails", Slot::TlsDetails, TLS),
    peeked("insightDetails", Slot::InsightDetails, INSIGHT),
    whole("eventContext", Slot::EventContext),
    whole("eventId", Slot::SummaryId),
    whole("accountId", Slot::SummaryAccount),
    apart("timeWindow", Slot::TimeWindow, WINDOW),
    whole("summary", Slot::Summary),
];

const IDENTITY: &[Member] = &[
    whole("type", Slot::IdentityType),
    whole("principalId", Slot::PrincipalId),
    whole("arn", Slot::Arn),
    whole("accountId", Slot::AccountId),
    whole("accessKeyId", Slot::AccessKeyId),
    whole("userName", Slot::UserName),
    apart("sessionContext", Slot::SessionContext, SESSION),
    whole("invokedBy", Slot::InvokedBy),
    whole("identityProvider", Slot::IdentityProvider),
    apart("onBehalfOf", Slot::OnBehalfOf, BEHALF),
    whole("inScopeOf", Slot::InScopeOf),
    whole("credentialId", Slot::CredentialId),
];

const BEHALF: &[Member] = &[
    whole("userId", Slot::BehalfUser),
    whole("identityStoreArn", Slot::BehalfStore),
];

const SESSION: &[Member] = &[
    apart("sessionIssuer", Slot::SessionIssuer, ISSUER),
    apart("webIdFederationData", Slot::WebIdentity, WEB_IDENTITY),
    apart("attributes", Slot::Attributes, ATTRIBUTES),
    whole("assumedRoot", Slot::AssumedRoot),
    whole("sourceIdentity", Slot::SourceIdentity),
    whole("ec2RoleDelivery", Slot::RoleDelivery),
];

const ISSUER: &[Member] = &[
    whole("type", Slot::IssuerType),
    whole("principalId", Slot::IssuerPrincipal),
    whole("arn", Slot::IssuerArn),
    whole("accountId", Slot::IssuerAccount),
    whole("userName", Slot::IssuerName),
];

const WEB_IDENTITY: &[Member] = &[
    whole("federatedProvider", Slot::FederatedProvider),
    whole("attributes", Slot::WebIdentityAttributes),
];

const ATTRIBUTES: &[Member] = &[
    whole("creationDate", Slot::CreationDate),
    whole("mfaAuthenticated", Slot::MfaAuthenticated),
];

const TLS: &[Member] = &[
    whole("tlsVersion", Slot::TlsVersion),
    whole("cipherSuite", Slot::CipherSuite),
    whole("clientProvidedHostHeader", Slot::HostHeader),
    whole("keyExchange", Slot::KeyExchange),
];

const WINDOW: &[Member] = &[
    whole("windowStart", Slot::WindowStart),
    whole("windowEnd", Slot::WindowEnd),
    whole("windowSize", Slot::WindowSize),
];

const ADDITIONAL: &[Member] = &[
    whole("UserName", Slot::TypedName),
    whole("MFAUsed", Slot::MfaUsed),
    whole("LoginTo", Slot::LoginTo),
    whole("SignatureVersion", Slot::SignatureVersion),
    whole("CipherSuite", Slot::SignedCipher),
    whole("bytesTransferredIn", Slot::BytesIn),
    whole("AuthenticationMethod", Slot::AuthenticationMethod),
    whole("x-amz-id-2", Slot::HostId),
    whole("bytesTransferredOut", Slot::BytesOut),
];

const REQUEST: &[Member] = &[
    whole("userName", Slot::RequestUser),
    whole("roleName", Slot::RequestRole),
    whole("groupName", Slot::RequestGroup),
    whole("policyName", Slot::RequestPolicyName),
    whole("policyArn", Slot::RequestPolicyArn),
    whole("roleArn", Slot::RequestRoleArn),
    whole("roleSessionName", Slot::RequestSession),
    whole("instanceProfileName", Slot::RequestProfile),
];

const RESPONSE: &[Member] = &[
    whole("ConsoleLogin", Slot::ConsoleLogin),
    peeked("assumedRoleUser", Slot::AssumedUser, ASSUMED),
    peeked("credentials", Slot::Credentials, CREDENTIALS),
    peeked("user", Slot::NewUser, NEW_USER),
    peeked("role", Slot::NewRole, NEW_ROLE),
];

const ASSUMED: &[Member] = &[
    whole("arn", Slot::AssumedArn),
    whole("assumedRoleId", Slot::AssumedId),
];
const CREDENTIALS: &[Member] = &[whole("accessKeyId", Slot::NewKey)];
const NEW_USER: &[Member] = &[whole("arn", Slot::NewUserArn)];
const NEW_ROLE: &[Member] = &[whole("arn", Slot::NewRoleArn)];
const INSIGHT: &[Member] = &[
    whole("eventSource", Slot::InsightSource),
    whole("eventName", Slot::InsightName),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn each(members: &'static [Member], visit: &mut impl FnMut(&'static Member)) {
        for member in members {
            visit(member);
            match member.inside {
                Inside::Whole => {}
                Inside::Apart(inside) | Inside::Peeked(inside) => each(inside, visit),
            }
        }
    }

    #[test]
    fn every_slot_is_one_member() {
        let mut slots = BTreeSet::from([Slot::Root]);
        each(RECORD, &mut |member| {
            assert!(slots.insert(member.slot), "{:?} comes twice", member.slot);
        });
        assert_eq!(slots.len(), COUNT);
    }
}
