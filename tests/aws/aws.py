"""What the tests need of AWS beyond S3 and SQS: topologies, topics and the stack.

usage: aws.py ENDPOINT wire KIND NAME | publish TOPIC_ARN MESSAGE | deploy TEMPLATE ENVIRONMENT

Prints one JSON object.
"""

import json
import pathlib
import sys

import boto3

REGION = "eu-west-1"


def client(service, endpoint):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def wire(endpoint, kind, name):
    """A bucket whose new objects are announced on a queue in the way of `kind`."""
    s3, sqs, sns = (client(service, endpoint) for service in ("s3", "sqs", "sns"))
    owner = client("sts", endpoint).get_caller_identity()["Account"]
    bucket = f"leanda-ng-cloudtrail-{name}-{owner}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    queue = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = None
    if kind in ("sns", "sns-raw", "cloudtrail"):
        topic = sns.create_topic(Name=name)["TopicArn"]
        raw = "true" if kind == "sns-raw" else "false"
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": raw})
    if kind == "sqs":
        notify(s3, bucket, QueueConfigurations=[{"QueueArn": queue_arn, "Events": ["s3:ObjectCreated:*"]}])
    elif kind in ("sns", "sns-raw"):
        notify(s3, bucket, TopicConfigurations=[{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}])
    elif kind == "eventbridge":
        notify(s3, bucket, EventBridgeConfiguration={})
        events = client("events", endpoint)
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
        events.put_rule(Name=name, EventPattern=json.dumps(pattern), State="ENABLED")
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue_arn}])
    return {"bucket": bucket, "owner": owner, "queue_url": queue, "topic_arn": topic}


def notify(s3, bucket, **configuration):
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


def publish(endpoint, topic, message):
    client("sns", endpoint).publish(TopicArn=topic, Message=message)
    return {}


def deploy(endpoint, template, environment):
    """Deploys the stack; what moto's CloudFormation leaves out of buckets and the table is set as the template says."""
    cloudformation = client("cloudformation", endpoint)
    name = f"sluicegate-{environment}"
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=pathlib.Path(template).read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": "Environment", "ParameterValue": environment}],
        Capabilities=["CAPABILITY_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    resources = cloudformation.list_stack_resources(StackName=name)["StackResourceSummaries"]
    s3 = client("s3", endpoint)
    ttl = {"AttributeName": "expires", "Enabled": True}
    client("dynamodb", endpoint).update_time_to_live(TableName=outputs["LedgerTableName"], TimeToLiveSpecification=ttl)
    for bucket in (outputs["BucketName"], outputs["StateBucketName"]):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    filter_rules = [{"Name": "prefix", "Value": "AWSLogs/"}, {"Name": "suffix", "Value": ".json.gz"}]
    configuration = {
        "QueueArn": outputs["QueueArn"],
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": filter_rules}},
    }
    notify(s3, outputs["BucketName"], QueueConfigurations=[configuration])
    return {
        "bucket": outputs["BucketName"],
        "state_bucket": outputs["StateBucketName"],
        "owner": client("sts", endpoint).get_caller_identity()["Account"],
        "queue_url": outputs["QueueUrl"],
        "dead_letter_queue_url": outputs["DeadLetterQueueUrl"],
        "topic_arn": outputs["AlertsTopicArn"],
        "resources": sorted(resource["LogicalResourceId"] for resource in resources),
    }


def main():
    endpoint, command, *arguments = sys.argv[1:]
    run = {"wire": wire, "publish": publish, "deploy": deploy}[command]
    json.dump(run(endpoint, *arguments), sys.stdout)


if __name__ == "__main__":
    main()
