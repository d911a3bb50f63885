// Package openapi embeds the contracts: the document that types and routing are generated from, that requests are
// validated against, and that the server hands out at /openapi.yaml; and the schema of campaign files.
package openapi

import _ "embed"

// Document is jari.yaml as it stands in the repository.
//
//go:embed jari.yaml
var Document []byte

// CampaignSchema is campaign.schema.json, the JSON Schema (2020-12) of campaign files.
//
//go:embed campaign.schema.json
var CampaignSchema []byte
