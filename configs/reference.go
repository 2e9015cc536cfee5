package configs

import _ "embed"

// Reference is the commented configuration file that the packages install: every key with its default.
//
//go:embed mudguard.yaml
var Reference string
