package tests.repositories

import data.tests.given

found(after) := result if {
	result := data.rules.repositories.findings with input as given.plan([given.made("aws_ecr_repository", after)])
}

test_immutable_tags_pass if count(found({"image_tag_mutability": "IMMUTABLE"})) == 0

test_tags_that_move_are_denied if {
	every after in [{}, {"image_tag_mutability": "MUTABLE"}, {"image_tag_mutability": "IMMUTABLE_WITH_EXCLUSION"}] {
		count(found(after)) == 1
	}
}
