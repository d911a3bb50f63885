package contract_test

import (
	"bytes"
	"net/http"
	"testing"

	"jari/openapi"
	"jari/test/jaritest"
)

func TestTheSchemaOfCampaignFilesIsServedAsItStands(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithNothingPublished())
	got := s.Do(t, http.MethodGet, "/campaign.schema.json", nil).Want(t, http.StatusOK)
	if !bytes.Equal(got.Body, openapi.CampaignSchema) || got.Header.Get("Content-Type") != "application/schema+json" {
		t.Errorf("%s: %d bytes of %d", got.Header.Get("Content-Type"), len(got.Body), len(openapi.CampaignSchema))
	}
}
