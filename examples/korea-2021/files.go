// Package korea2021 carries the example campaign in the binary: the booking of July 2021, so that a development server
// needs no folder beside it. It is data; what it means is the campaign package's.
package korea2021

import "embed"

//go:generate go run ./generate

// Files holds campaign.yaml and, by the names it gives them, the files of its sites and slots.
//
//go:embed campaign.yaml sites.csv slots.yaml
var Files embed.FS
