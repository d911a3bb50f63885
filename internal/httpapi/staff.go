package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"jari/internal/audit"
	"jari/internal/staff"
)

// ListKeys answers GET /admin/v1/keys.
func (s *Server) ListKeys(ctx context.Context, _ ListKeysRequestObject) (ListKeysResponseObject, error) {
	keys, err := s.Staff.List(ctx)
	if err != nil {
		return nil, err
	}
	list := KeyList{Keys: []AdminKey{}}
	for _, k := range keys {
		list.Keys = append(list.Keys, adminKey(k))
	}
	return ListKeys200JSONResponse(list), nil
}

// CreateKey answers POST /admin/v1/keys.
func (s *Server) CreateKey(ctx context.Context, r CreateKeyRequestObject) (CreateKeyResponseObject, error) {
	n := staff.NewKey{
		Name: r.Body.Name, Role: staff.Role(r.Body.Role), Campaign: orElse(r.Body.CampaignId, ""), Site: orElse(r.Body.SiteId, ""),
		Lifetime: time.Duration(orElse(r.Body.Days, 90)) * 24 * time.Hour, By: keyOf(ctx).ID,
		Staff: orElse(r.Body.StaffId, uuid.Nil),
	}
	text, key, err := s.Staff.Create(ctx, n)
	if err != nil {
		return nil, err
	}
	return CreateKey201JSONResponse{Key: text, Details: adminKey(key)}, nil
}

// RevokeKey answers DELETE /admin/v1/keys/{key}.
func (s *Server) RevokeKey(ctx context.Context, r RevokeKeyRequestObject) (RevokeKeyResponseObject, error) {
	key, err := s.Staff.Revoke(ctx, r.Key)
	if err != nil {
		return nil, err
	}
	return RevokeKey200JSONResponse(adminKey(key)), nil
}

// adminKey shows a key. Its times are real ones: keys expire by them.
func adminKey(k staff.Key) AdminKey {
	return AdminKey{
		KeyId: k.ID, Name: k.Name, Role: AdminRole(k.Role), CampaignId: unlessZero(k.Campaign), SiteId: unlessZero(k.Site),
		CreatedAt: k.CreatedAt.UTC(), CreatedBy: k.CreatedBy, StaffId: staffID(k.Staff), ExpiresAt: k.ExpiresAt.UTC(), RevokedAt: k.RevokedAt,
	}
}

// ListAudit answers GET /admin/v1/audit.
func (s *Server) ListAudit(ctx context.Context, r ListAuditRequestObject) (ListAuditResponseObject, error) {
	q := audit.Query{
		Before: orElse(r.Params.Before, 0), Actor: orElse(r.Params.Actor, ""), Act: orElse(r.Params.Act, ""),
		Most: orElse(r.Params.Limit, 100),
	}
	if r.Params.Person != nil {
		q.Person = *r.Params.Person
	}
	entries, err := s.Audit.List(ctx, q)
	if err != nil {
		return nil, err
	}
	list := AuditList{Entries: []AuditEntry{}}
	for _, e := range entries {
		shown := AuditEntry{
			EntryId: e.ID, Number: unlessZero(e.Number), At: e.At.UTC(), Actor: e.Actor, From: unlessZero(e.From), Act: e.Act,
			Subject: e.Subject, Reason: unlessZero(e.Reason),
		}
		if e.Person.Valid {
			shown.PersonId = unlessZero(e.Person.UUID.String())
		}
		if err := json.Unmarshal([]byte(e.Details), &shown.Details); err != nil {
			return nil, fmt.Errorf("reading the details of entry %d: %w", e.ID, err)
		}
		list.Entries = append(list.Entries, shown)
	}
	return ListAudit200JSONResponse(list), nil
}

// GetAuditHead answers GET /admin/v1/audit/head.
func (s *Server) GetAuditHead(ctx context.Context, _ GetAuditHeadRequestObject) (GetAuditHeadResponseObject, error) {
	head, err := s.Audit.Head(ctx)
	if err != nil {
		return nil, err
	}
	return GetAuditHead200JSONResponse{Number: head.Number, Head: head.String()}, nil
}

// orElse is what a pointer points at, or the other value.
func orElse[T any](p *T, other T) T {
	if p == nil {
		return other
	}
	return *p
}

// unlessZero leaves what is zero out of an answer.
func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
