// Package openapi embeds the contract: the document that types and routing are generated from, that requests are
// validated against, and that the server hands out at /openapi.yaml.
package openapi

import _ "embed"

// Document is jari.yaml as it stands in the repository.
//
//go:embed jari.yaml
var Document []byte
