package httpapi

import (
	"context"

	"jari/internal/notify"
)

// ListMessageTexts answers GET /admin/v1/campaigns/{campaign}/messages.
func (s *Server) ListMessageTexts(ctx context.Context, r ListMessageTextsRequestObject) (ListMessageTextsResponseObject, error) {
	list, err := s.messageTexts(ctx, r.Campaign, notify.Kinds()...)
	if err != nil {
		return nil, err
	}
	return ListMessageTexts200JSONResponse(list), nil
}

// SetMessageTexts answers PUT /admin/v1/campaigns/{campaign}/messages/{kind}.
func (s *Server) SetMessageTexts(ctx context.Context, r SetMessageTextsRequestObject) (SetMessageTextsResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	kind := notify.Kind(r.Kind)
	if err := s.Messages.SetTemplates(ctx, c.ID, kind, given(r.Body.Ko, r.Body.En), r.Body.Reason); err != nil {
		return nil, err
	}
	list, err := s.messageTexts(ctx, c.ID, kind)
	if err != nil {
		return nil, err
	}
	return SetMessageTexts200JSONResponse(list), nil
}

// PreviewMessageTexts answers POST /admin/v1/campaigns/{campaign}/messages/{kind}/preview.
func (s *Server) PreviewMessageTexts(ctx context.Context, r PreviewMessageTextsRequestObject) (PreviewMessageTextsResponseObject, error) {
	list, err := s.messageTexts(ctx, r.Campaign, notify.Kind(r.Kind))
	if err != nil {
		return nil, err
	}
	wanted := given(r.Body.Ko, r.Body.En)
	previews := MessagePreviewList{Previews: []MessagePreview{}}
	for _, m := range list.Messages {
		text, ok := wanted[string(m.Language)]
		if !ok {
			text = m.Text
		}
		p := notify.Preview(notify.Kind(r.Kind), string(m.Language), text)
		previews.Previews = append(previews.Previews, MessagePreview{
			Language: m.Language, Text: p.Text, Bytes: p.Bytes, Type: MessagePreviewType(p.Type()),
			Replaced: orNone(p.Replaced), Problems: orNone(p.Problems),
		})
	}
	return PreviewMessageTexts200JSONResponse(previews), nil
}

// messageTexts are the words in use in a campaign that is there.
func (s *Server) messageTexts(ctx context.Context, campaign string, kinds ...notify.Kind) (MessageTextList, error) {
	c, err := s.Campaigns.Get(campaign)
	if err != nil {
		return MessageTextList{}, err
	}
	templates, err := s.Messages.CampaignTemplates(ctx, c.ID)
	if err != nil {
		return MessageTextList{}, err
	}
	list := MessageTextList{Messages: []MessageText{}}
	for _, kind := range kinds {
		said := templates.Of(kind)
		for _, language := range notify.Languages() {
			list.Messages = append(list.Messages, MessageText{
				Kind: NewsKind(kind), Language: MessageLanguage(language), Text: said[language].Text, Own: said[language].Own,
			})
		}
	}
	return list, nil
}

// given are the texts that a body has, by language.
func given(ko, en *string) map[string]string {
	texts := map[string]string{}
	for language, text := range map[string]*string{"ko": ko, "en": en} {
		if text != nil {
			texts[language] = *text
		}
	}
	return texts
}

// orNone is the list, which is shown as an empty one where there is nothing in it.
func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
