package tests.ports

import data.tests.given

found(changes) := result if {
	result := data.rules.ports.findings with input as given.plan(changes)
}

rule(from, to, protocol, blocks) := given.made("aws_security_group_rule", {
	"type": "ingress",
	"from_port": from,
	"to_port": to,
	"protocol": protocol,
	"cidr_blocks": blocks,
	"ipv6_cidr_blocks": null,
})

test_ssh_for_the_world_is_denied if {
	some finding in found([rule(22, 22, "tcp", ["0.0.0.0/0"])])
	finding.message == "It lets 0.0.0.0/0 reach port 22."
	finding.address == "aws_security_group_rule.this"
}

test_each_admin_port_is_denied if {
	every port in [22, 2379, 3306, 3389, 5432, 6379, 6443, 27017] {
		count(found([rule(port, port, "tcp", ["0.0.0.0/0"])])) == 1
	}
}

test_a_range_that_holds_admin_ports_is_denied if count(found([rule(1, 1024, "tcp", ["0.0.0.0/0"])])) == 1

test_every_protocol_means_every_port if {
	count(found([rule(0, 0, "-1", ["0.0.0.0/0"])])) == 1
	count(found([rule(443, 443, "-1", ["0.0.0.0/0"])])) == 1
}

test_half_of_the_internet_is_the_world if count(found([rule(22, 22, "tcp", ["10.0.0.0/8", "128.0.0.0/1"])])) == 1

test_ipv6_counts_too if {
	change := given.made("aws_security_group_rule", {
		"type": "ingress",
		"from_port": 22,
		"to_port": 22,
		"protocol": "tcp",
		"ipv6_cidr_blocks": ["::/0"],
	})
	count(found([change])) == 1
}

test_inline_rules_count_too if {
	open := {"from_port": 5432, "to_port": 5432, "protocol": "tcp", "cidr_blocks": ["0.0.0.0/0"], "ipv6_cidr_blocks": []}
	count(found([given.made("aws_security_group", {"ingress": [open]})])) == 1
	count(found([given.made("aws_default_security_group", {"ingress": [open]})])) == 1
}

test_rules_of_later_providers_count_too if {
	every rule in [
		{"ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": "0.0.0.0/0", "cidr_ipv6": null},
		{"ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv6": "::/0"},
		{"ip_protocol": "-1", "cidr_ipv4": "0.0.0.0/0"},
	] {
		count(found([given.made("aws_vpc_security_group_ingress_rule", rule)])) == 1
	}
}

test_what_the_world_may_reach_passes if {
	count(found([rule(443, 443, "tcp", ["0.0.0.0/0"])])) == 0
	count(found([rule(8, 0, "icmp", ["0.0.0.0/0"])])) == 0
}

test_named_blocks_and_egress_pass if {
	count(found([rule(22, 22, "tcp", ["10.0.0.0/8", "203.0.113.0/24"])])) == 0
	egress := {"type": "egress", "from_port": 0, "to_port": 65535, "protocol": "tcp", "cidr_blocks": ["0.0.0.0/0"]}
	count(found([given.made("aws_security_group_rule", egress)])) == 0
}

test_a_cluster_s_api_is_not_for_the_world if {
	every access in [
		{"endpoint_public_access": true, "public_access_cidrs": ["0.0.0.0/0"]},
		{"endpoint_public_access": true, "public_access_cidrs": null},
		{},
	] {
		count(found([given.made("aws_eks_cluster", {"vpc_config": [access]})])) == 1
	}
	every access in [
		{"endpoint_public_access": false},
		{"endpoint_public_access": true, "public_access_cidrs": ["203.0.113.0/24"]},
	] {
		count(found([given.made("aws_eks_cluster", {"vpc_config": [access]})])) == 0
	}
}
