package notify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// Templates are a campaign's own words by kind and language; what isn't there is said in the words of the program.
type Templates map[Kind]map[string]string

// Text is the message about a booking.
func (t Templates) Text(language string, kind Kind, v Visit) string {
	if _, spoken := ownWords[kind][language]; !spoken {
		language = "ko"
	}
	template, own := t[kind][language]
	if !own {
		template = ownWords[kind][language]
	}
	return fill(template, language, v)
}

// Template is what is said of a kind in one language.
type Template struct {
	Text string
	// Own: the campaign's own words, not those of the program.
	Own bool
}

// Of is what is said of a kind, by language.
func (t Templates) Of(kind Kind) map[string]Template {
	said := map[string]Template{}
	for language, text := range ownWords[kind] {
		said[language] = Template{Text: text}
		if own, has := t[kind][language]; has {
			said[language] = Template{Text: own, Own: true}
		}
	}
	return said
}

// Previewed is how a template comes out.
type Previewed struct {
	Fitted
	Problems []string
}

// Preview fills a template with a made-up visit, and says what is wrong with it.
func Preview(kind Kind, language, template string) Previewed {
	return Previewed{Fitted: Fit(fill(template, language, sample(language))), Problems: Check(kind, template)}
}

// CampaignTemplates reads a campaign's own words.
func (s *Service) CampaignTemplates(ctx context.Context, campaign string) (Templates, error) {
	return readTemplates(ctx, s.Pool, campaign)
}

func readTemplates(ctx context.Context, from interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, campaign string,
) (Templates, error) {
	rows, err := from.Query(ctx, `SELECT kind, language, text FROM message_templates WHERE campaign_id = $1`, campaign)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading templates: %w", err))
	}
	t := Templates{}
	var kind Kind
	var language, text string
	if _, err := pgx.ForEachRow(rows, []any{&kind, &language, &text}, func() error {
		if t[kind] == nil {
			t[kind] = map[string]string{}
		}
		t[kind][language] = text
		return nil
	}); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading templates: %w", err))
	}
	return t, nil
}

// SetTemplates replaces a campaign's own words for a kind: a language that is left out is said in the words of the program
// again. It refuses with fault.CodeInvalidRequest, naming the language. Who changed it and why is on record if and only if it
// is changed; the same words again change nothing.
func (s *Service) SetTemplates(ctx context.Context, campaign string, kind Kind, texts map[string]string, reason string) error {
	invalid := fault.New(fault.Invalid, fault.CodeInvalidRequest)
	for _, language := range slices.Sorted(maps.Keys(texts)) {
		for _, problem := range Check(kind, texts[language]) {
			invalid = invalid.Field("/"+language, problem)
		}
	}
	if len(invalid.Fields) > 0 {
		return invalid
	}
	return postgres.InTx(ctx, s.Pool, func(tx pgx.Tx) error {
		// One after the other: of two changes at once, all languages are those of the later one.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('templates ' || $1, 0))`, campaign); err != nil {
			return postgres.Unreachable(fmt.Errorf("replacing templates: %w", err))
		}
		before, err := readTemplates(ctx, tx, campaign)
		if err != nil || maps.Equal(before[kind], texts) {
			return err
		}
		if _, err := tx.Exec(ctx, `
			DELETE FROM message_templates WHERE campaign_id = $1 AND kind = $2`, campaign, kind); err != nil {
			return postgres.Unreachable(fmt.Errorf("replacing templates: %w", err))
		}
		for language, text := range texts {
			if _, err := tx.Exec(ctx, `
				INSERT INTO message_templates (campaign_id, kind, language, text) VALUES ($1, $2, $3, $4)`,
				campaign, kind, language, text); err != nil {
				return postgres.Unreachable(fmt.Errorf("replacing templates: %w", err))
			}
		}
		return s.Audit.Append(ctx, tx, audit.Entry{
			Act: "message.set_texts", Subject: campaign + "/message/" + string(kind), Reason: reason, Details: map[string]any{
				"own": slices.Sorted(maps.Keys(texts)), "own_before": slices.Sorted(maps.Keys(before[kind])),
			},
		})
	})
}
