package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"jari/internal/campaign"
	"jari/internal/civil"
)

// CheckOrder says what to check a campaign file against. Only Files and Name are needed.
type CheckOrder struct {
	Files fs.FS // The folder of the file, with the sites and slots that it names.
	Name  string
	// Today is the last birth date that is asked about.
	Today civil.Date
	// Against is another campaign file to compare with, and what to call it.
	Against     []byte
	AgainstName string
	// Published compares with the newest published version that it knows; nil doesn't.
	Published *campaign.Service
	// Population is a population file, and what to call it.
	Population     []byte
	PopulationName string
}

// CheckCampaign checks a campaign file with its sites and slots. Whether it could be published, and why not, is in the
// report; the error is for what kept it from being checked.
func CheckCampaign(ctx context.Context, o CheckOrder) (campaign.CheckReport, error) {
	var none campaign.CheckReport
	raw, err := fs.ReadFile(o.Files, o.Name)
	if err != nil {
		return none, fmt.Errorf("opening the campaign: %w", err)
	}
	options := campaign.CheckOptions{Today: o.Today}
	if o.Population != nil {
		if options.Population, err = campaign.ParsePopulation(bytes.NewReader(o.Population)); err != nil {
			return none, fmt.Errorf("%s can't be read:\n%w", o.PopulationName, err)
		}
	}
	switch {
	case o.Against != nil && o.Published != nil:
		return none, errors.New("a file is compared with one other: the published version or a file")
	case o.Against != nil:
		options.PreviousName = o.AgainstName
		if options.Previous, err = campaign.Load(o.Against, 1); err != nil {
			return none, fmt.Errorf("%s can't be compared with:\n%w", o.AgainstName, err)
		}
	case o.Published != nil:
		if options.Previous, options.PreviousName, err = newest(ctx, o.Published, raw); err != nil {
			return none, err
		}
	}
	report, err := campaign.Check(raw, options)
	if report.Compiled == nil {
		if err == nil {
			err = errors.New("the file wasn't read")
		}
		if _, told := errors.AsType[*campaign.DocumentError](err); !told {
			return none, err
		}
		return report, nil // The report says it.
	}
	if o.Published != nil && report.Comparison == nil {
		report.NotCovered = append(report.NotCovered, "What this changes: no version of the campaign has been published yet.")
	}
	sites, planned, err := readPlaces(o.Files, path.Dir(o.Name), report.Compiled)
	if err != nil {
		report.Refuse(err)
		return report, nil
	}
	if report.Compiled.Sites != "" {
		report.Supply = &campaign.Supply{Sites: len(sites), Slots: len(planned)}
		for _, s := range planned {
			report.Supply.Places += s.Capacity
		}
	}
	return report, nil
}

// newest is the newest published version of the campaign that a file is about; nil if there is none.
func newest(ctx context.Context, published *campaign.Service, raw []byte) (*campaign.Campaign, string, error) {
	c, err := campaign.Load(raw, 1)
	if err != nil {
		return nil, "", nil //nolint:nilerr // The check says what is wrong with the file.
	}
	versions, err := published.Versions(ctx, c.ID)
	if err != nil || len(versions) == 0 {
		return nil, "", err
	}
	number := versions[0].Number
	d, err := published.DocumentOf(ctx, c.ID, number)
	if err != nil {
		return nil, "", err
	}
	previous, err := campaign.Compile(d, number)
	return previous, fmt.Sprintf("version %d, the newest published", number), err
}
