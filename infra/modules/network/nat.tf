# The way out of private subnets.

# Neither `vpc` nor `domain`: the first is unknown to the provider 6.x, the second cannot be set in 3.40. Without them
# AWS allocates for a VPC.
resource "aws_eip" "nat" {
  for_each = local.nat

  tags = { Name = "${var.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "this" {
  for_each = local.nat

  # The id is the allocation's; 3.40 leaves the attribute allocation_id empty.
  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id

  tags = { Name = "${var.name}-${each.key}" }

  # A NAT gateway is of no use before its subnet has a way out.
  depends_on = [aws_route.internet, aws_route_table_association.public]
}

resource "aws_route" "nat" {
  for_each = var.nat == "none" ? toset([]) : local.tables

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[var.nat == "zone" ? each.key : var.zones[0]].id
}
