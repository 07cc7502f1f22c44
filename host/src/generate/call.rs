//! The calls that ordinary days are made of. `$name$` in a template is filled in by the event writer.

/// One kind of call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// How often it is chosen, against the others.
    pub(super) weight: u32,
    /// `eventSource` without `.amazonaws.com`.
    pub(super) service: &'static str,
    pub(super) name: &'static str,
    pub(super) access: Access,
    /// `requestParameters`.
    pub(super) request: &'static str,
    /// `responseElements`.
    pub(super) response: &'static str,
    /// `additionalEventData`; empty: the member is absent.
    pub(super) extra: &'static str,
    /// `resources`; empty: the member is absent.
    pub(super) resources: &'static str,
}

/// What a call does, and in which category of events CloudTrail files it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    DataRead,
    DataWrite,
    SignIn,
}

const fn call(
    weight: u32,
    service: &'static str,
    name: &'static str,
    access: Access,
    request: &'static str,
    response: &'static str,
) -> Call {
    Call {
        weight,
        service,
        name,
        access,
        request,
        response,
        extra: "",
        resources: "",
    }
}

impl Call {
    pub(super) const fn on(mut self, resources: &'static str) -> Self {
        self.resources = resources;
        self
    }

    pub(super) const fn with(mut self, extra: &'static str) -> Self {
        self.extra = extra;
        self
    }
}

const BUCKET: &str =
    r#"[{"accountId":"$account$","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::$bucket$"}]"#;
const S3_OBJECT: &str = r#"[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::$bucket$/$path$"},{"accountId":"$account$","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::$bucket$"}]"#;
const KEY: &str = r#"[{"accountId":"$account$","type":"AWS::KMS::Key","ARN":"arn:aws:kms:$region$:$account$:key/$key$"}]"#;
const S3_EXTRA: &str = r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"$id2$","bytesTransferredOut":$number$}"#;

/// Session tokens are shown by CloudTrail in clear: every such call is a secret to be masked.
pub(super) const ASSUME_ROLE: Call = call(
    30,
    "sts",
    "AssumeRole",
    Access::Read,
    r#"{"roleArn":"arn:aws:iam::$account$:role/app-orders-task","roleSessionName":"ecs-task-$hex8$","durationSeconds":3600}"#,
    r#"{"credentials":{"accessKeyId":"ASIA$base32$","sessionToken":"$token$","expiration":"$expiry$"},"assumedRoleUser":{"assumedRoleId":"AROA2Q7LXK5NVJ3WZRTMB:ecs-task-$hex8$","arn":"arn:aws:sts::$account$:assumed-role/app-orders-task/ecs-task-$hex8$"}}"#,
)
.on(r#"[{"accountId":"$account$","type":"AWS::IAM::Role","ARN":"arn:aws:iam::$account$:role/app-orders-task"}]"#);

pub(super) const CALLS: [Call; 30] = {
    use Access::{DataRead, DataWrite, Read, SignIn, Write};
    [
        ASSUME_ROLE,
        call(14, "ec2", "DescribeInstances", Read, r#"{"maxResults":100,"instancesSet":{},"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"}]}},{"name":"vpc-id","valueSet":{"items":[{"value":"vpc-$network$"}]}}]}}"#, "null"),
        call(8, "ec2", "DescribeNetworkInterfaces", Read, r#"{"networkInterfaceIdSet":{},"filterSet":{"items":[{"name":"subnet-id","valueSet":{"items":[{"value":"subnet-$network$"}]}},{"name":"status","valueSet":{"items":[{"value":"available"}]}}]}}"#, "null"),
        call(5, "ec2", "DescribeSecurityGroups", Read, r#"{"securityGroupSet":{},"securityGroupIdSet":{"items":[{"groupId":"sg-$network$"}]},"filterSet":{}}"#, "null"),
        call(4, "ec2", "DescribeRouteTables", Read, r#"{"routeTableIdSet":{},"filterSet":{"items":[{"name":"association.main","valueSet":{"items":[{"value":"true"}]}},{"name":"vpc-id","valueSet":{"items":[{"value":"vpc-$network$"}]}}]}}"#, "null"),
        call(4, "ec2", "DescribeVolumes", Read, r#"{"volumeSet":{"items":[{"volumeId":"vol-$network$"}]},"filterSet":{}}"#, "null"),
        call(34, "s3", "GetObject", DataRead, r#"{"bucketName":"$bucket$","Host":"$bucket$.s3.$region$.amazonaws.com","key":"$path$"}"#, "null").with(S3_EXTRA).on(S3_OBJECT),
        call(16, "s3", "PutObject", DataWrite, r#"{"bucketName":"$bucket$","Host":"$bucket$.s3.$region$.amazonaws.com","key":"$path$"}"#, r#"{"x-amz-server-side-encryption":"aws:kms","x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:$region$:$account$:key/$key$"}"#).with(S3_EXTRA).on(S3_OBJECT),
        call(5, "s3", "GetBucketAcl", Read, r#"{"bucketName":"$bucket$","Host":"$bucket$.s3.$region$.amazonaws.com","acl":""}"#, "null").with(S3_EXTRA).on(BUCKET),
        call(2, "s3", "ListBuckets", Read, r#"{"Host":"s3.amazonaws.com"}"#, "null").with(S3_EXTRA),
        call(12, "kms", "Decrypt", Read, r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::$bucket$/$path$"}}"#, "null").on(KEY),
        call(8, "kms", "GenerateDataKey", Read, r#"{"keyId":"arn:aws:kms:$region$:$account$:key/$key$","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::$bucket$"},"keySpec":"AES_256"}"#, "null").on(KEY),
        call(5, "secretsmanager", "GetSecretValue", Read, r#"{"secretId":"arn:aws:secretsmanager:$region$:$account$:secret:orders/database-fAVH0t","versionStage":"AWSCURRENT"}"#, "null"),
        call(5, "ssm", "GetParameter", Read, r#"{"name":"/orders/production/database-url","withDecryption":true}"#, "null").on(r#"[{"accountId":"$account$","ARN":"arn:aws:ssm:$region$:$account$:parameter/orders/production/database-url"}]"#),
        call(1, "ssm", "PutParameter", Write, r#"{"name":"/orders/production/release","value":"HIDDEN_DUE_TO_SECURITY_REASONS","type":"SecureString","overwrite":true,"tier":"Standard"}"#, r#"{"version":$number$,"tier":"Standard"}"#).on(r#"[{"accountId":"$account$","ARN":"arn:aws:ssm:$region$:$account$:parameter/orders/production/release"}]"#),
        call(6, "ssm", "UpdateInstanceInformation", Write, r#"{"instanceId":"$instance$","agentVersion":"3.3.808.0","agentStatus":"Active","platformType":"Linux","platformName":"Amazon Linux","platformVersion":"2023","iPAddress":"10.20.1.17","computerName":"ip-10-20-1-17.ec2.internal","agentName":"amazon-ssm-agent","availabilityZone":"$region$a","availabilityZoneId":"use1-az1"}"#, "null"),
        call(4, "sts", "GetCallerIdentity", Read, "null", "null"),
        call(3, "iam", "GetRole", Read, r#"{"roleName":"app-orders-task"}"#, "null"),
        call(3, "iam", "ListAttachedRolePolicies", Read, r#"{"roleName":"app-billing-lambda"}"#, "null"),
        call(2, "iam", "GetUser", Read, r#"{"userName":"deploy-bot"}"#, "null"),
        call(6, "logs", "CreateLogStream", Write, r#"{"logGroupName":"/aws/lambda/app-billing","logStreamName":"$date$/[$$LATEST]$hex32$"}"#, "null"),
        call(7, "dynamodb", "DescribeTable", Read, r#"{"tableName":"orders"}"#, "null").on(r#"[{"accountId":"$account$","type":"AWS::DynamoDB::Table","ARN":"arn:aws:dynamodb:$region$:$account$:table/orders"}]"#),
        call(3, "lambda", "Invoke", DataWrite, r#"{"functionName":"arn:aws:lambda:$region$:$account$:function:app-billing","invocationType":"Event"}"#, "null").with(r#"{"functionVersion":"arn:aws:lambda:$region$:$account$:function:app-billing:$$LATEST"}"#).on(r#"[{"accountId":"$account$","type":"AWS::Lambda::Function","ARN":"arn:aws:lambda:$region$:$account$:function:app-billing"}]"#),
        call(2, "lambda", "GetFunction20150331v2", Read, r#"{"functionName":"app-billing"}"#, "null"),
        call(3, "ecs", "DescribeServices", Read, r#"{"cluster":"production","services":["orders","billing","frontend"]}"#, "null"),
        call(2, "ecs", "RunTask", Write, r#"{"cluster":"production","taskDefinition":"orders:$number$","count":1,"launchType":"FARGATE","networkConfiguration":{"awsvpcConfiguration":{"subnets":["subnet-$network$"],"securityGroups":["sg-$network$"],"assignPublicIp":"DISABLED"}}}"#, r#"{"failures":[],"tasks":[{"taskArn":"arn:aws:ecs:$region$:$account$:task/production/$hex32$","clusterArn":"arn:aws:ecs:$region$:$account$:cluster/production","lastStatus":"PROVISIONING","desiredStatus":"RUNNING","cpu":"256","memory":"512","launchType":"FARGATE"}]}"#),
        call(1, "ec2", "RunInstances", Write, r#"{"instancesSet":{"items":[{"imageId":"ami-0c55b159cbfafe1f0","minCount":1,"maxCount":1,"keyName":"operations"}]},"userData":"<sensitiveDataRemoved>","instanceType":"t3.medium","blockDeviceMapping":{},"monitoring":{"enabled":false},"disableApiTermination":false,"clientToken":"$uuid$","subnetId":"subnet-$network$","tagSpecificationSet":{"items":[{"resourceType":"instance","tags":[{"key":"team","value":"orders"}]}]}}"#, r#"{"requestId":"$uuid$","reservationId":"r-$network$","ownerId":"$account$","groupSet":{},"instancesSet":{"items":[{"instanceId":"$instance$","imageId":"ami-0c55b159cbfafe1f0","instanceState":{"code":0,"name":"pending"},"privateDnsName":"ip-10-20-1-17.ec2.internal","keyName":"operations","instanceType":"t3.medium","placement":{"availabilityZone":"$region$a","tenancy":"default"},"subnetId":"subnet-$network$","vpcId":"vpc-$network$","privateIpAddress":"10.20.1.17"}]}}"#),
        call(1, "elasticloadbalancing", "DescribeTargetHealth", Read, r#"{"targetGroupArn":"arn:aws:elasticloadbalancing:$region$:$account$:targetgroup/orders/73e2d6bc24d8a067"}"#, "null"),
        call(1, "cloudtrail", "LookupEvents", Read, r#"{"maxResults":50,"lookupAttributes":[{"attributeKey":"ResourceName","attributeValue":"$bucket$"}]}"#, "null"),
        call(1, "signin", "ConsoleLogin", SignIn, "null", r#"{"ConsoleLogin":"Success"}"#).with(r#"{"LoginTo":"https://console.aws.amazon.com/console/home?region=$region$","MobileVersion":"No","MFAUsed":"Yes"}"#),
    ]
};

/// What goes wrong on an ordinary day: code and message.
pub(super) const ERRORS: [(&str, &str); 4] = [
    ("ResourceNotFoundException", "Requested resource not found"),
    ("ThrottlingException", "Rate exceeded"),
    (
        "ValidationException",
        "1 validation error detected: Value at 'name' failed to satisfy constraint",
    ),
    (
        "ConditionalCheckFailedException",
        "The conditional request failed",
    ),
];
