# The bucket that holds the state of an account's units: versioned, encrypted, closed to the public and to plain HTTP.

data "aws_partition" "current" {}

locals {
  arn = "arn:${data.aws_partition.current.partition}:s3:::${var.bucket}"

  policies = {
    for prefix in var.prefixes : prefix => {
      for access, actions in { read = ["s3:GetObject"], write = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"] } :
      access => jsonencode({
        Version = "2012-10-17"
        Statement = concat(
          [
            {
              Effect    = "Allow"
              Action    = access == "read" ? ["s3:ListBucket"] : ["s3:ListBucket", "s3:ListBucketVersions"]
              Resource  = [local.arn]
              Condition = { StringLike = { "s3:prefix" = ["${prefix}/*", "symphony-plans/${prefix}/*"] } }
            },
            {
              Effect   = "Allow"
              Action   = ["s3:GetBucketVersioning"]
              Resource = [local.arn]
            },
            {
              Effect   = "Allow"
              Action   = actions
              Resource = ["${local.arn}/${prefix}/*"]
            },
            {
              # Plans that wait go with all their versions, since they hold secrets; their texts hold none.
              Effect   = "Allow"
              Action   = access == "read" ? actions : concat(actions, ["s3:DeleteObjectVersion"])
              Resource = ["${local.arn}/symphony-plans/${prefix}/${access == "read" ? "texts/" : ""}*"]
            },
          ],
          var.kms_key_arn == null ? [] : [
            {
              Effect   = "Allow"
              Action   = access == "read" ? ["kms:Decrypt"] : ["kms:Decrypt", "kms:GenerateDataKey"]
              Resource = [var.kms_key_arn]
            },
          ],
        )
      })
    }
  }
}

# Inline blocks, which 6.x deprecates but takes: their own resources are unknown to 3.40.
resource "aws_s3_bucket" "this" {
  bucket = var.bucket

  tags = { Name = var.bucket, stateful = "true" }

  versioning {
    enabled = true
  }

  server_side_encryption_configuration {
    rule {
      bucket_key_enabled = var.kms_key_arn != null

      apply_server_side_encryption_by_default {
        sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
        kms_master_key_id = var.kms_key_arn
      }
    }
  }

  lifecycle_rule {
    id                                     = "old-versions"
    enabled                                = true
    abort_incomplete_multipart_upload_days = 7

    noncurrent_version_expiration {
      days = var.noncurrent_days
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "this" {
  count = var.tls_only ? 1 : 0

  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.arn, "${local.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })

  # Two changes of one bucket's access at the same time are refused by S3.
  depends_on = [aws_s3_bucket_public_access_block.this]
}
