package httpapi

import "context"

// inboxLength is how many messages the development inbox shows.
const inboxLength = 100

// ListInbox answers GET /dev/inbox, in development only.
func (s *Server) ListInbox(ctx context.Context, _ ListInboxRequestObject) (ListInboxResponseObject, error) {
	newest, err := s.Messages.Newest(ctx, inboxLength)
	if err != nil {
		return nil, err
	}
	inbox := Inbox{Messages: make([]Message, len(newest))}
	for i, m := range newest {
		inbox.Messages[i] = Message{
			MessageId: m.ID.String(), Kind: MessageKind(m.Kind), To: m.To, Text: m.Text, State: MessageState(m.State),
			CreatedAt: s.shown(m.CreatedAt),
		}
	}
	return ListInbox200JSONResponse(inbox), nil
}
