package httpapi

import (
	"context"
	"errors"
	"iter"
	"unicode/utf8"

	"jari/internal/fault"
	"jari/internal/identity"
	"jari/internal/table"
)

// listColumns are those of a file of entitled people. All are texts: a spreadsheet's numbers have lost their zeros.
var listColumns = []table.Column{
	{Name: "number", Optional: true}, {Name: "name"}, {Name: "birth_date", Optional: true}, {Name: "phone", Optional: true},
}

// errEnough ends reading a file of which no more is wanted.
var errEnough = errors.New("enough")

// listRows gives the rows of a file one by one.
func listRows(f *table.File) iter.Seq2[identity.ListRow, error] {
	return func(yield func(identity.ListRow, error) bool) {
		err := f.Read(listColumns, func(r table.Row) error {
			row := identity.ListRow{
				Line: r.Line, Number: r.Cells[0], Name: r.Cells[1], BirthDate: r.Cells[2], Phone: r.Cells[3], Problems: r.Problems,
			}
			if !yield(row, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(identity.ListRow{}, err)
		}
	}
}

// listName is the list of a path, or a refusal: a name is what rules call it.
func listName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("list", "isn't a name")
	}
	return name, nil
}

// ListLists answers GET /admin/v1/lists.
func (s *Server) ListLists(ctx context.Context, _ ListListsRequestObject) (ListListsResponseObject, error) {
	lists, waiting, err := s.Identity.Lists(ctx)
	if err != nil {
		return nil, err
	}
	all := EntitledLists{Lists: []EntitledList{}, Waiting: []ListImport{}}
	for _, l := range lists {
		all.Lists = append(all.Lists, EntitledList{
			List: l.Name, Entries: l.Entries, Checksum: l.Checksum, NumberDigits: l.NumberDigits, SignedOffAt: l.SignedOffAt.UTC(),
		})
	}
	for _, i := range waiting {
		all.Waiting = append(all.Waiting, listImport(i))
	}
	return ListLists200JSONResponse(all), nil
}

// ListListImports answers GET /admin/v1/lists/{list}/imports.
func (s *Server) ListListImports(ctx context.Context, r ListListImportsRequestObject) (ListListImportsResponseObject, error) {
	name, err := listName(r.List)
	if err != nil {
		return nil, err
	}
	imports, err := s.Identity.Imports(ctx, name)
	if err != nil {
		return nil, err
	}
	list := ListImports{Imports: []ListImport{}}
	for _, i := range imports {
		list.Imports = append(list.Imports, listImport(i))
	}
	return ListListImports200JSONResponse(list), nil
}

// ImportList answers POST /admin/v1/lists/{list}/imports.
func (s *Server) ImportList(ctx context.Context, r ImportListRequestObject) (ImportListResponseObject, error) {
	name, err := listName(r.List)
	if err != nil {
		return nil, err
	}
	file, err := s.file(ctx, r.Body, r.MultipartBody)
	if err != nil {
		return nil, err
	}
	i, err := s.Identity.StageList(ctx, identity.ListFile{
		List: name, NumberDigits: r.Params.NumberDigits, By: keyOf(ctx).ID, Rows: listRows(file),
	})
	if err != nil {
		return nil, err
	}
	return ImportList201JSONResponse(listImport(i)), nil
}

// RemoveList answers DELETE /admin/v1/lists/{list}.
func (s *Server) RemoveList(ctx context.Context, r RemoveListRequestObject) (RemoveListResponseObject, error) {
	name, err := listName(r.List)
	if err != nil {
		return nil, err
	}
	i, err := s.Identity.RemoveList(ctx, name, keyOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	return RemoveList202JSONResponse(listImport(i)), nil
}

// GetListImport answers GET /admin/v1/lists/{list}/imports/{import}.
func (s *Server) GetListImport(ctx context.Context, r GetListImportRequestObject) (GetListImportResponseObject, error) {
	name, err := listName(r.List)
	if err != nil {
		return nil, err
	}
	i, err := s.Identity.Import(ctx, name, r.Import)
	if err != nil {
		return nil, err
	}
	return GetListImport200JSONResponse(listImport(i)), nil
}

// WithdrawListImport answers DELETE /admin/v1/lists/{list}/imports/{import}.
func (s *Server) WithdrawListImport(ctx context.Context, r WithdrawListImportRequestObject) (WithdrawListImportResponseObject, error) {
	name, err := listName(r.List)
	if err != nil {
		return nil, err
	}
	i, err := s.Identity.Withdraw(ctx, name, r.Import, keyOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	return WithdrawListImport200JSONResponse(listImport(i)), nil
}

// SignOffList answers POST /admin/v1/lists/{list}/imports/{import}/sign-off.
func (s *Server) SignOffList(ctx context.Context, r SignOffListRequestObject) (SignOffListResponseObject, error) {
	name, err := listName(r.List)
	if err != nil {
		return nil, err
	}
	i, err := s.Identity.Import(ctx, name, r.Import)
	if err != nil {
		return nil, err
	}
	same, err := s.Staff.SamePerson(ctx, i.ImportedBy, keyOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	if same {
		return nil, fault.New(fault.Conflict, fault.CodeSamePerson)
	}
	if i, err = s.Identity.SignOff(ctx, name, r.Import, r.Body.Checksum, keyOf(ctx).ID); err != nil {
		return nil, err
	}
	return SignOffList200JSONResponse(listImport(i)), nil
}

func listImport(i identity.ListImport) ListImport {
	out := ListImport{
		ImportId: i.ID.String(), List: i.List, State: ListImportState(i.State), Removal: i.Removal, Entries: i.Entries, Added: i.Added,
		Changed: i.Changed, Kept: i.Kept, Removed: i.Removed, Checksum: i.Checksum, NumberDigits: i.NumberDigits,
		ImportedBy: i.ImportedBy, ImportedAt: i.ImportedAt.UTC(), SettledBy: i.SettledBy,
	}
	if i.SettledAt != nil {
		at := i.SettledAt.UTC()
		out.SettledAt = &at
	}
	return out
}

// refusedRows shows what is wrong with a file.
func refusedRows(f identity.ListFaults) *RefusedRows {
	out := &RefusedRows{Rows: f.Rows, Faults: f.Count, Named: []RefusedRow{}}
	for _, one := range f.Faults {
		out.Named = append(out.Named, RefusedRow{Line: one.Line, Column: unlessZero(one.Column), Problem: one.Problem})
	}
	return out
}
