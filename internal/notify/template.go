package notify

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

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
	rows, err := s.Pool.Query(ctx, `SELECT kind, language, text FROM message_templates WHERE campaign_id = $1`, campaign)
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
// again. It refuses with fault.CodeInvalidRequest, naming the language. note is told in the same transaction, so that who
// changed it is on record if and only if it is changed.
func (s *Service) SetTemplates(
	ctx context.Context, campaign string, kind Kind, texts map[string]string, note func(ctx context.Context, tx pgx.Tx) error,
) error {
	invalid := fault.New(fault.Invalid, fault.CodeInvalidRequest)
	for language, text := range texts {
		for _, problem := range Check(kind, text) {
			invalid = invalid.Field("/"+language, problem)
		}
	}
	if len(invalid.Fields) > 0 {
		return invalid
	}
	return postgres.InTx(ctx, s.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			DELETE FROM message_templates WHERE campaign_id = $1 AND kind = $2`, campaign, kind); err != nil {
			return postgres.Unreachable(fmt.Errorf("replacing templates: %w", err))
		}
		for language, text := range texts {
			if _, err := tx.Exec(ctx, `
				INSERT INTO message_templates (campaign_id, kind, language, text) VALUES ($1, $2, $3, $4)
				ON CONFLICT (campaign_id, kind, language) DO UPDATE SET text = excluded.text, changed_at = now()`,
				campaign, kind, language, text); err != nil {
				return postgres.Unreachable(fmt.Errorf("replacing templates: %w", err))
			}
		}
		return note(ctx, tx)
	})
}
