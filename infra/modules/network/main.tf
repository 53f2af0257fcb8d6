# A VPC with one public and one private subnet a zone. Private subnets have no route out of it unless a NAT gateway is
# asked for; endpoints reach ECR and S3 without one.

locals {
  subnets = { for index, zone in var.zones : zone => index }
  bits    = 4
  private = 8

  # Private subnets share a route table, except where each zone has a NAT gateway of its own.
  shared = "all"
  tables = toset(var.nat == "zone" ? var.zones : [local.shared])
  nat    = toset({ none = [], single = [var.zones[0]], zone = var.zones }[var.nat])
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = var.dns_hostnames

  tags = { Name = var.name }
}

# Whatever names no security group gets this one, which lets nothing through.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-default" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = var.name }
}

resource "aws_subnet" "public" {
  for_each = local.subnets

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, local.bits, each.value)

  tags = {
    Name                     = "${var.name}-public-${each.key}"
    "kubernetes.io/role/elb" = "1"
  }
}

resource "aws_subnet" "private" {
  for_each = local.subnets

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, local.bits, local.private + each.value)

  tags = {
    Name                              = "${var.name}-private-${each.key}"
    "kubernetes.io/role/internal-elb" = "1"
  }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-public" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  for_each = local.tables

  vpc_id = aws_vpc.this.id

  tags = { Name = each.key == local.shared ? "${var.name}-private" : "${var.name}-private-${each.key}" }
}

moved {
  from = aws_route_table.private
  to   = aws_route_table.private["all"]
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[var.nat == "zone" ? each.key : local.shared].id
}
