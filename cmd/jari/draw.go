package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"jari/internal/app"
)

type drawCommand struct {
	Verify drawVerifyCommand `cmd:"" help:"Check a published draw: its registrations, its random value, and where it puts somebody. Needs neither a database nor a key."`
}

type drawVerifyCommand struct {
	Document string `arg:"" placeholder:"FILE-OR-URL" help:"The published draw."`
	Leaves   string `placeholder:"FILE-OR-URL" help:"Its leaves, if they aren't where the document says."`
	Index    uint64 `help:"With --nonce: the index of a registration, as its ticket says."`
	Nonce    string `placeholder:"HEX" help:"The nonce in the same ticket: the registration is looked for, and its position said."`
	JSON     bool   `name:"json" help:"Print one JSON object."`
}

// drawVerified is what --json prints.
type drawVerified struct {
	Room     string            `json:"room"`
	N        uint64            `json:"n"`
	Good     bool              `json:"good"`
	Pending  bool              `json:"pending"`
	Flaws    []json.RawMessage `json:"flaws"`
	Position *uint64           `json:"position,omitempty"`
	Remarks  []string          `json:"remarks"`
}

// Run checks, and fails if something is wrong.
func (c drawVerifyCommand) Run(w surroundings) error {
	document, err := openAnywhere(w.ctx, c.Document)
	if err != nil {
		return err
	}
	defer func() { _ = document.Close() }() // it was only read
	d, v, err := app.VerifyDraw(app.DrawQuestion{
		Document: document, Index: c.Index, Nonce: c.Nonce,
		Leaves: func(location string) (io.ReadCloser, error) {
			if c.Leaves != "" {
				return openAnywhere(w.ctx, c.Leaves)
			}
			location, err := linkedFrom(c.Document, location)
			if err != nil {
				return nil, err
			}
			return openAnywhere(w.ctx, location)
		},
	})
	if err != nil {
		return err
	}
	words := make([]string, len(v.Flaws))
	for i, f := range v.Flaws {
		words[i] = f.String()
	}
	if c.JSON {
		said := drawVerified{
			Room: d.Room, N: d.N, Good: v.Good(), Pending: v.Pending, Position: v.Position, Flaws: []json.RawMessage{},
			Remarks: append([]string{}, v.Remarks...),
		}
		for _, f := range v.Flaws {
			flaw, err := json.Marshal(f)
			if err != nil {
				return err
			}
			said.Flaws = append(said.Flaws, flaw)
		}
		if err := json.NewEncoder(w.out).Encode(said); err != nil {
			return err
		}
	}
	if !v.Good() {
		return fmt.Errorf("the draw of %q is wrong:\n  %s", d.Room, strings.Join(words, "\n  "))
	}
	if c.JSON {
		return nil
	}
	if v.Pending {
		fmt.Fprintf(w.out, "%d registrations of %q give the root %s. The value isn't published yet.\n", d.N, d.Room, d.Root)
	} else {
		fmt.Fprintf(w.out, "The draw of %q is right: %d registrations, the root and the value give the seed %s.\n", d.Room, d.N, d.Seed)
	}
	if v.Position != nil {
		fmt.Fprintf(w.out, "Registration %d has position %d; the first is 0.\n", c.Index, *v.Position)
	}
	for _, r := range v.Remarks {
		fmt.Fprintln(w.out, r)
	}
	return nil
}

// linkedFrom resolves a location that a document names, as a link in it.
func linkedFrom(document, location string) (string, error) {
	if !isURL(document) {
		if isURL(location) || filepath.IsAbs(location) {
			return location, nil
		}
		return filepath.Join(filepath.Dir(document), location), nil
	}
	base, err := url.Parse(document)
	if err != nil {
		return "", err
	}
	link, err := url.Parse(location)
	if err != nil {
		return "", err
	}
	return base.ResolveReference(link).String(), nil
}

func isURL(s string) bool { return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") }

// openAnywhere opens a file, or gets what has an address.
func openAnywhere(ctx context.Context, location string) (io.ReadCloser, error) {
	if !isURL(location) {
		file, err := os.Open(location) //nolint:gosec // a file that whoever runs this names
		if err != nil {
			return nil, err
		}
		return buffered{bufio.NewReaderSize(file, 1<<16), file}, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s answers %s", location, answer.Status), answer.Body.Close())
	}
	return buffered{bufio.NewReaderSize(answer.Body, 1<<16), answer.Body}, nil
}

type buffered struct {
	io.Reader
	io.Closer
}
