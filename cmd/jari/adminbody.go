package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/goccy/go-yaml"
)

// maxFileBytes is the largest file that a command sends: it is read whole. What a server takes is less.
const maxFileBytes = 256 << 20

// request makes the request of what was typed.
func (a *adminOperation) request(w surroundings, g given) (adminRequest, error) {
	r := adminRequest{method: a.method, path: a.path, query: url.Values{}, header: http.Header{}}
	body, form := map[string]any{}, map[string][]string{}
	for i, in := range a.inputs {
		value, is := g.text(fieldOf(i))
		list := g.texts(fieldOf(i))
		switch {
		case in.place == inPath:
			if value == "" {
				return r, fmt.Errorf("<%s> is empty", in.flag)
			}
			r.path = strings.ReplaceAll(r.path, "{"+in.name+"}", url.PathEscape(value))
		case !is && list == nil:
		case in.place == inQuery && is:
			r.query.Set(in.name, value)
		case in.place == inQuery:
			r.query[in.name] = list
		case in.place == inHeader:
			r.header.Set(in.name, value)
		case in.place == inForm:
			form[in.name] = append(list, slices.DeleteFunc([]string{value}, func(string) bool { return !is })...)
		case is:
			v, err := bodyValue(w, in, value)
			if err != nil {
				return r, fmt.Errorf("--%s: %w", in.flag, err)
			}
			body[in.name] = v
		default:
			items := []any{}
			for _, one := range list {
				v, err := scalar(in.schema.Items.Value, one)
				if err != nil {
					return r, fmt.Errorf("--%s: %w", in.flag, err)
				}
				items = append(items, v)
			}
			body[in.name] = items
		}
	}
	if kind, ok := g.text(fieldAccept); ok {
		r.header.Set("Accept", kind)
	} else if out, _ := g.text(fieldOut); out != "" || len(a.answers) > 0 {
		r.header.Set("Accept", a.accept(out))
	}
	return r, a.content(w, g, &r, body, form)
}

// accept is the form of the answer that a file's name asks for, or the first.
func (a *adminOperation) accept(out string) string {
	if kind := kindOf(out, a.answers); kind != "" {
		return kind
	}
	if out != "" {
		for _, kind := range a.answers {
			if kind != jsonKind && kind != streamKind {
				return kind
			}
		}
	}
	return strings.Join(a.answers, ", ")
}

// content sets the request's body.
func (a *adminOperation) content(w surroundings, g given, r *adminRequest, body map[string]any, form map[string][]string) error {
	name, hasFile := g.text(fieldFile)
	if hasFile && a.filePart != "" && (len(form) > 0 || kindOf(name, a.contents()) == "" && len(body) == 0) {
		form[a.filePart] = []string{name}
		return a.form(w, r, form)
	}
	switch {
	case len(a.bodies) == 0:
		return nil
	case len(form) > 0:
		if len(body) > 0 || hasFile {
			return errors.New("parts of a form can't be sent together with other content")
		}
		return a.form(w, r, form)
	case !hasFile && len(body) == 0:
		if a.bodyRequired {
			return errors.New("there is nothing to send: use --file, or the flags that jari admin " + a.name + " --help lists")
		}
		return nil
	}
	kind := jsonKind
	if hasFile {
		kind = kindOf(name, a.contents())
	}
	if kind == "" || !slices.Contains(a.bodies, kind) {
		if len(a.contents()) == 0 {
			return errors.New("there is nothing to send that it takes: see jari admin " + a.name + " --help")
		}
		kind = a.contents()[0]
	}
	r.header.Set("Content-Type", kind)
	if !strings.HasSuffix(kind, "json") {
		if len(body) > 0 {
			return errors.New("flags for the content go with JSON only, and " + name + " is " + kind)
		}
		raw, err := w.readInput(name)
		r.body = raw
		return err
	}
	var content any = body
	if hasFile {
		v, err := w.readTree(name)
		if err != nil {
			return err
		}
		if members, ok := v.(map[string]any); ok {
			for key, value := range body {
				members[key] = value
			}
		} else if len(body) > 0 {
			return fmt.Errorf("%s isn't an object: flags can't be added to it", name)
		}
		content = v
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	r.body = raw
	return nil
}

// contents are the media types of bodies that aren't forms.
func (a *adminOperation) contents() []string {
	return slices.DeleteFunc(slices.Clone(a.bodies), func(kind string) bool { return kind == formKind })
}

// form makes a form with files.
func (a *adminOperation) form(w surroundings, r *adminRequest, parts map[string][]string) error {
	files := map[string]bool{a.filePart: true}
	for _, in := range a.inputs {
		if in.place == inForm && in.schema != nil && in.schema.Format == "binary" {
			files[in.name] = true
		}
	}
	var b bytes.Buffer
	writer := multipart.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		for _, value := range parts[name] {
			content, part := []byte(value), io.Writer(nil)
			var err error
			if files[name] {
				if content, err = w.readInput(value); err == nil {
					part, err = writer.CreateFormFile(name, filepath.Base(value))
				}
			} else {
				part, err = writer.CreateFormField(name)
			}
			if err != nil {
				return err
			}
			if _, err := part.Write(content); err != nil {
				return fmt.Errorf("writing the form: %w", err)
			}
		}
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("writing the form: %w", err)
	}
	r.header.Set("Content-Type", writer.FormDataContentType())
	r.body = b.Bytes()
	return nil
}

// kinds are what the ends of names stand for.
var kinds = map[string][]string{
	".json":   {jsonKind, "application/merge-patch+json"},
	".yaml":   {"application/yaml", jsonKind, "application/merge-patch+json"},
	".yml":    {"application/yaml", jsonKind, "application/merge-patch+json"},
	".csv":    {"text/csv"},
	".xlsx":   {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
	".ndjson": {"application/x-ndjson", "application/fhir+ndjson"},
	".ics":    {"text/calendar"},
	".pdf":    {"application/pdf"},
	".txt":    {"text/plain"},
}

// kindOf is which of the possible media types a file's name stands for; empty if none.
func kindOf(name string, possible []string) string {
	for _, kind := range kinds[strings.ToLower(filepath.Ext(name))] {
		for _, p := range possible {
			if media, _, _ := strings.Cut(p, ";"); media == kind {
				return p
			}
		}
	}
	return ""
}

// bodyValue is a member of a JSON body: what fits on a command line as it is, anything else out of a file.
func bodyValue(w surroundings, in adminInput, text string) (any, error) {
	if in.schema == nil || isScalar(in.schema) {
		return scalar(in.schema, text)
	}
	return w.readTree(text)
}

// scalar gives a text the type that the contract asks for.
func scalar(s *openapi3.Schema, text string) (any, error) {
	switch {
	case s == nil || s.Type == nil:
		return text, nil
	case s.Type.Is("integer"):
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return nil, errors.New("must be a whole number")
		}
		return json.Number(text), nil
	case s.Type.Is("number"):
		if _, err := strconv.ParseFloat(text, 64); err != nil || !json.Valid([]byte(text)) {
			return nil, errors.New("must be a number")
		}
		return json.Number(text), nil
	case s.Type.Is("boolean"):
		if text != "true" && text != "false" {
			return nil, errors.New("must be true or false")
		}
		return text == "true", nil
	default:
		return text, nil
	}
}

// readInput reads a file that was named, or standard input.
func (w surroundings) readInput(name string) ([]byte, error) {
	from := w.in
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // whoever runs the command names it
		if err != nil {
			return nil, fmt.Errorf("opening what is to be sent: %w", err)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	if from == nil {
		return nil, errors.New("there is no standard input")
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading what is to be sent: %w", err)
	case len(raw) > maxFileBytes:
		return nil, fmt.Errorf("%s has more than %d MiB", name, maxFileBytes>>20)
	}
	return raw, nil
}

// readTree reads YAML or JSON. What YAML has no quotes around stays what it says: a date is a text.
func (w surroundings) readTree(name string) (any, error) {
	raw, err := w.readInput(name)
	if err != nil {
		return nil, err
	}
	if !json.Valid(raw) {
		if raw, err = yaml.YAMLToJSON(raw); err != nil {
			return nil, fmt.Errorf("%s is neither JSON nor YAML: %s", name, yaml.FormatError(err, false, false))
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", name, err)
	}
	return tree, nil
}
