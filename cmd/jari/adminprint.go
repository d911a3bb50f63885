package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
	"golang.org/x/text/width"
)

// adminPrinter shows answers: as tables for people, or as they came.
type adminPrinter struct {
	w         surroundings
	contract  *adminContract
	operation *adminOperation
	language  string
	json      bool
	out       string // a file, or empty
}

// answer shows an answer by what it is.
func (p *adminPrinter) answer(answer *http.Response) error {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	for _, name := range []string{"ETag", "Location"} {
		if value := answer.Header.Get(name); value != "" && !p.json {
			fmt.Fprintf(p.w.err, "%s: %s\n", name, plain(value))
		}
	}
	switch {
	case answer.StatusCode == http.StatusNoContent:
		return nil
	case p.out != "":
		return p.save(answer.Body)
	case kind == streamKind:
		return p.stream(answer.Body)
	case kind != jsonKind && !strings.HasPrefix(kind, "text/") && isTerminal(p.w.out):
		return fmt.Errorf("the answer is a file (%s), and this is a terminal; --out FILE keeps it", kind)
	case kind == jsonKind && p.json, kind != jsonKind:
		if _, err := io.Copy(p.w.out, answer.Body); err != nil {
			return unanswered{fmt.Errorf("reading the answer: %w", err)}
		}
		return nil
	}
	value, err := readJSON(answer.Body)
	if err != nil {
		return err
	}
	return p.value(value, p.operation.answer)
}

// isTerminal tells whether somebody looks at what is written.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	is, err := f.Stat()
	if err != nil || is.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	nowhere, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(is, nowhere)
}

// save writes an answer into a new file that only its owner reads: it can be a list of people. What breaks off leaves none.
func (p *adminPrinter) save(from io.Reader) error {
	f, err := os.OpenFile(p.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return unanswered{errors.Join(fmt.Errorf("the answer broke off: %w", err), os.Remove(p.out))}
	}
	return nil
}

// stream shows events as they come, until the server ends or somebody interrupts.
func (p *adminPrinter) stream(from io.Reader) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 64<<10), 4<<20)
	for lines.Scan() {
		data, is := strings.CutPrefix(lines.Text(), "data:")
		if !is {
			continue // names, comments that keep the connection, and the empty lines between
		}
		value, err := readJSON(strings.NewReader(data))
		if p.json || err != nil {
			fmt.Fprintln(p.w.out, plain(strings.TrimSpace(data)))
			continue
		}
		if err := p.value(value, nil); err != nil {
			return err
		}
		fmt.Fprintln(p.w.out)
	}
	if err := lines.Err(); err != nil && p.w.ctx.Err() == nil {
		return unanswered{fmt.Errorf("the stream broke off: %w", err)}
	}
	return nil
}

// value shows a value of a schema.
func (p *adminPrinter) value(value any, schema *openapi3.SchemaRef) error {
	if p.json {
		return json.NewEncoder(p.w.out).Encode(value)
	}
	var b strings.Builder
	p.write(&b, "", value, schema)
	if _, err := io.WriteString(p.w.out, b.String()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// write shows an object member by member, a list of objects as a table.
func (p *adminPrinter) write(b *strings.Builder, indent string, value any, schema *openapi3.SchemaRef) {
	switch v := value.(type) {
	case map[string]any:
		members := membersOf(schema, map[string]bool{})
		names := map[string]*openapi3.SchemaRef{}
		for name := range v {
			names[name] = members[name]
		}
		var below []string
		longest := 0
		ordered := p.contract.inOrder(schema, names)
		for _, name := range ordered {
			if _, fits := p.cell(v[name]); fits {
				longest = max(longest, len(name))
			}
		}
		for _, name := range ordered {
			if text, fits := p.cell(v[name]); fits {
				fmt.Fprintf(b, "%s%-*s  %s\n", indent, longest, name, text)
			} else {
				below = append(below, name)
			}
		}
		for _, name := range below {
			if len(ordered) == 1 {
				p.write(b, indent, v[name], members[name])
				continue
			}
			fmt.Fprintf(b, "%s%s\n", indent, name)
			p.write(b, indent+"  ", v[name], members[name])
		}
	case []any:
		var items *openapi3.SchemaRef
		if schema != nil && schema.Value != nil {
			items = schema.Value.Items
		}
		p.table(b, indent, v, items)
	default:
		text, _ := p.cell(v)
		fmt.Fprintf(b, "%s%s\n", indent, text)
	}
}

// table shows rows of objects with the columns that any of them has.
func (p *adminPrinter) table(b *strings.Builder, indent string, rows []any, schema *openapi3.SchemaRef) {
	members := membersOf(schema, map[string]bool{})
	used := map[string]*openapi3.SchemaRef{}
	for _, row := range rows {
		object, ok := row.(map[string]any)
		if !ok {
			text, _ := p.cell(row)
			fmt.Fprintf(b, "%s%s\n", indent, text)
			continue
		}
		for name := range object {
			used[name] = members[name]
		}
	}
	if len(used) == 0 {
		if len(rows) == 0 {
			fmt.Fprintf(b, "%s(none)\n", indent)
		}
		return
	}
	columns := p.contract.inOrder(schema, used)
	lines := [][]string{columns}
	for _, row := range rows {
		object, _ := row.(map[string]any)
		var line []string
		for _, column := range columns {
			text, fits := p.cell(object[column])
			if list, is := object[column].([]any); !fits && (!is || len(list) > 0) {
				raw, _ := json.Marshal(object[column])
				text = plain(string(raw))
			}
			line = append(line, text)
		}
		lines = append(lines, line)
	}
	wide := make([]int, len(columns))
	for _, line := range lines {
		for i, text := range line {
			wide[i] = max(wide[i], widthOf(text))
		}
	}
	for _, line := range lines {
		var s strings.Builder
		for i, text := range line {
			s.WriteString(text + strings.Repeat(" ", wide[i]-widthOf(text)+2))
		}
		b.WriteString(indent + strings.TrimRight(s.String(), " ") + "\n")
	}
}

// cell is a value in a line, and whether it fits in one.
func (p *adminPrinter) cell(value any) (text string, fits bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return plain(v), true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "yes", true
		}
		return "no", true
	case []any:
		var all []string
		for _, one := range v {
			if _, nested := one.(map[string]any); nested {
				return "", false
			}
			text, fits := p.cell(one)
			if !fits {
				return "", false
			}
			all = append(all, text)
		}
		return strings.Join(all, ", "), len(v) > 0
	case map[string]any:
		// A text in both languages is shown in one.
		if slices.Equal(slices.Sorted(maps.Keys(v)), []string{"en", "ko"}) {
			return p.cell(v[p.language])
		}
		return "", len(v) == 0
	default:
		return plain(fmt.Sprint(v)), true
	}
}

// plain is a text without what would move a terminal's cursor or turn its writing around.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return '\uFFFD'
		default:
			return r
		}
	}, text)
}

// widthOf is how many columns of a terminal a text takes: Korean letters take two.
func widthOf(text string) int {
	n := 0
	for _, r := range text {
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// readJSON reads one value, numbers as they are written.
func readJSON(from io.Reader) (any, error) {
	decoder := json.NewDecoder(from)
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, unanswered{fmt.Errorf("the answer can't be read: %w", err)}
	}
	return value, nil
}

// readObject reads an answer that is an object.
func readObject(answer *http.Response) (map[string]any, error) {
	defer func() { _ = answer.Body.Close() }()
	value, err := readJSON(answer.Body)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, unanswered{errors.New("the answer isn't a list")}
	}
	return object, nil
}
