# No security group, and no cluster, lets the world reach a port that machines are administered or data is read by.
package rules.ports

import data.plan

id := "open-admin-port"

admin_ports := {
	22, 23, 135, 139, 445, 1433, 1521, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5439, 5601, 5984, 5985, 5986,
	6379, 6443, 7000, 7001, 8086, 9042, 9092, 9200, 9300, 10250, 11211, 15672, 27017, 27018, 27019,
}

findings contains {"address": way.address, "message": message, "fix": fix} if {
	some way in openings
	from := way.from
	ports := sort([port | some port in admin_ports; port >= from; port <= way.to])
	count(ports) > 0
	message := sprintf("It lets %s reach %s.", [way.block, told(ports)])
	fix := "Name the address blocks or the security groups that need it, or reach the machine by SSM Session Manager."
}

findings contains {"address": cluster.address, "message": message, "fix": fix} if {
	some cluster in plan.of({"aws_eks_cluster"})
	some access in plan.blocks(cluster.after, "vpc_config")
	plan.known(access, "endpoint_public_access", true) == true
	some block in named(access)
	world(block)
	message := sprintf("It lets %s reach the cluster's API.", [block])
	fix := "Turn endpoint_public_access off, or name the address blocks in public_access_cidrs."
}

# EKS takes the whole internet where none is named.
named(access) := access.public_access_cidrs if count(plan.blocks(access, "public_access_cidrs")) > 0

else := ["0.0.0.0/0"]

openings contains opening(resource, rule, block) if {
	some resource in plan.of({"aws_security_group", "aws_default_security_group"})
	some rule in plan.blocks(resource.after, "ingress")
	some name in {"cidr_blocks", "ipv6_cidr_blocks"}
	some block in plan.blocks(rule, name)
	matters(block, plan.known(rule, "protocol", "-1"))
}

openings contains opening(resource, resource.after, block) if {
	some resource in plan.of({"aws_security_group_rule"})
	resource.after.type == "ingress"
	some name in {"cidr_blocks", "ipv6_cidr_blocks"}
	some block in plan.blocks(resource.after, name)
	matters(block, plan.known(resource.after, "protocol", "-1"))
}

openings contains opening(resource, resource.after, block) if {
	some resource in plan.of({"aws_vpc_security_group_ingress_rule"})
	some name in {"cidr_ipv4", "cidr_ipv6"}
	block := resource.after[name]
	matters(block, plan.known(resource.after, "ip_protocol", "-1"))
}

opening(resource, rule, block) := {
	"address": resource.address,
	"block": block,
	"from": bound(rule, "from_port", 0),
	"to": bound(rule, "to_port", 65535),
}

# Protocol -1 takes all ports, whatever numbers stand beside it.
bound(rule, _, otherwise) := otherwise if every_protocol(rule)

bound(rule, name, otherwise) := plan.known(rule, name, otherwise) if not every_protocol(rule)

every_protocol(rule) if rule.protocol in {"-1", "all"}

every_protocol(rule) if rule.ip_protocol in {"-1", "all"}

matters(block, protocol) if {
	world(block)
	not lower(sprintf("%v", [protocol])) in {"icmp", "icmpv6", "1", "58"}
}

# Two halves of the internet are the internet: no organisation holds a block larger than these.
world(block) if {
	is_string(block)
	not contains(block, ":")
	to_number(split(block, "/")[1]) < 8
}

world(block) if {
	is_string(block)
	contains(block, ":")
	to_number(split(block, "/")[1]) < 16
}

told(ports) := sprintf("port %d", ports) if count(ports) == 1

told(ports) := text if {
	count(ports) > 1
	count(ports) <= 5
	numbers := [sprintf("%d", [number]) | some number in ports]
	text := sprintf("ports %s", [concat(", ", numbers)])
}

told(ports) := sprintf("%d admin ports, %d to %d", [count(ports), ports[0], ports[count(ports) - 1]]) if count(ports) > 5
