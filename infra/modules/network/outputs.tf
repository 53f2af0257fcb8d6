output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "vpc_cidr" {
  description = "Address block of the VPC."
  value       = aws_vpc.this.cidr_block
}

output "public_subnet_ids" {
  description = "Public subnet by availability zone."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}

output "private_subnet_ids" {
  description = "Private subnet by availability zone."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "private_route_table_ids" {
  description = "Route tables of the private subnets: by zone with a NAT gateway in each, else one named all."
  value       = { for name, table in aws_route_table.private : name => table.id }
}

output "nat_addresses" {
  description = "Public addresses that private subnets leave by, by zone; partners let these in."
  value       = { for zone, address in aws_eip.nat : zone => address.public_ip }
}

output "endpoint_ids" {
  description = "VPC endpoints by service."
  value = merge(
    { for service, endpoint in aws_vpc_endpoint.interface : service => endpoint.id },
    { for endpoint in aws_vpc_endpoint.s3 : "s3" => endpoint.id },
  )
}

output "s3_prefix_list_id" {
  description = "Prefix list of S3 in the region, for egress rules; null without an S3 endpoint."
  value       = one(aws_vpc_endpoint.s3[*].prefix_list_id)
}
