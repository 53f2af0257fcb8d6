# The way to Prefect's API. By CloudFormation, for two reasons: the provider 3.40 has no resource for it, and those of
# later ones keep the password in the state, while CloudFormation takes it from Secrets Manager itself.

locals {
  version = var.secret_version_id == null ? "" : "::${var.secret_version_id}"
}

resource "aws_cloudformation_stack" "destination" {
  count = var.destination_arn == null ? 1 : 0

  name = "${var.name}-ecr-push-events"

  template_body = jsonencode({
    Description = "Pushes of images go to Prefect"
    Resources = {
      Connection = {
        Type = "AWS::Events::Connection"
        Properties = {
          Name              = "${var.name}-prefect"
          Description       = "Prefect's API"
          AuthorizationType = "BASIC"
          AuthParameters = {
            BasicAuthParameters = {
              Username = "{{resolve:secretsmanager:${var.secret_arn}:SecretString:username${local.version}}}"
              Password = "{{resolve:secretsmanager:${var.secret_arn}:SecretString:password${local.version}}}"
            }
          }
        }
      }
      Destination = {
        Type = "AWS::Events::ApiDestination"
        Properties = {
          Name                         = "${var.name}-prefect-events"
          ConnectionArn                = { "Fn::GetAtt" = ["Connection", "Arn"] }
          HttpMethod                   = "POST"
          InvocationEndpoint           = var.url
          InvocationRateLimitPerSecond = var.rate
        }
      }
    }
    Outputs = {
      DestinationArn = { Value = { "Fn::GetAtt" = ["Destination", "Arn"] } }
    }
  })

  lifecycle {
    precondition {
      condition     = var.url != null && var.secret_arn != null
      error_message = "Without a destination_arn, url and secret_arn are needed to make the destination."
    }
  }
}
