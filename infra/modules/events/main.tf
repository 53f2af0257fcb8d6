# Every push of an image becomes an event of Prefect, which starts what waits for it.

data "aws_caller_identity" "current" {}

# `id` is the region's name in every provider; `name` is deprecated in 6.x and `region` unknown to 3.40.
data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  account  = data.aws_caller_identity.current.account_id
  region   = data.aws_region.current.id
  prefix   = "arn:${data.aws_partition.current.partition}"
  registry = "${local.account}.dkr.ecr.${local.region}.${data.aws_partition.current.dns_suffix}"

  destination_arn = var.destination_arn == null ? aws_cloudformation_stack.destination[0].outputs["DestinationArn"] : var.destination_arn

  # An event of a push by digest has no tag, and EventBridge has no template with a part left out: hence two rules.
  paths = {
    id         = "$.id"
    time       = "$.time"
    repository = "$.detail.repository-name"
    digest     = "$.detail.image-digest"
  }
  rules = {
    tagged = {
      exists = true
      paths  = merge(local.paths, { tag = "$.detail.image-tag" })
      label  = ", \"aws.ecr.image-tag\": \"<tag>\""
    }
    untagged = { exists = false, paths = local.paths, label = "" }
  }
}

resource "aws_cloudwatch_event_rule" "push" {
  for_each = local.rules

  name        = "${var.name}-ecr-push-${each.key}"
  description = "Pushes of images (${each.key})"

  event_pattern = jsonencode({
    source        = ["aws.ecr"]
    "detail-type" = ["ECR Image Action"]
    detail = {
      "action-type"     = ["PUSH"]
      result            = ["SUCCESS"]
      "repository-name" = [for prefix in sort(var.repository_prefixes) : { prefix = prefix }]
      "image-tag"       = [{ exists = each.value.exists }]
    }
  })
}

resource "aws_cloudwatch_event_target" "prefect" {
  for_each = local.rules

  rule      = aws_cloudwatch_event_rule.push[each.key].name
  target_id = "prefect"
  arn       = local.destination_arn
  role_arn  = aws_iam_role.invoke.arn

  # Written by hand, since jsonencode would escape the angle brackets. Prefect takes a list of events.
  input_transformer {
    input_paths    = each.value.paths
    input_template = <<-JSON
      [{"id": "<id>", "occurred": "<time>", "event": "${var.event}", "related": [], "resource": {
        "prefect.resource.id": "aws.ecr.repository.<repository>", "prefect.resource.name": "<repository>",
        "aws.ecr.registry": "${local.registry}", "aws.ecr.image-digest": "<digest>"${each.value.label}
      }, "payload": <aws.events.event.json>}]
    JSON
  }

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 100
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

# What Prefect did not take within the hour waits here to be looked at.
resource "aws_sqs_queue" "undelivered" {
  name                      = "${var.name}-ecr-push-undelivered"
  message_retention_seconds = 1209600

  # Without a key SQS encrypts by keys of its own, as it does for every new queue; the argument that says so
  # (`sqs_managed_sse_enabled`) is unknown to 3.40.
  kms_master_key_id = var.kms_key_id
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.undelivered.arn
        Condition = { ArnEquals = { "aws:SourceArn" = values(aws_cloudwatch_event_rule.push)[*].arn } }
      },
    ]
  })
}

resource "aws_iam_role" "invoke" {
  name        = "${var.name}-ecr-push-events"
  description = "EventBridge sends pushes of images to Prefect"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { Service = "events.amazonaws.com" }
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })
}

resource "aws_iam_role_policy" "invoke" {
  name = "invoke-destination"
  role = aws_iam_role.invoke.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["events:InvokeApiDestination"], Resource = [local.destination_arn] }]
  })
}
