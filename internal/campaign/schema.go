package campaign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"jari/internal/civil"
	"jari/internal/eligibility"
	"jari/openapi"
)

// place is where something stands in a file, from 1.
type place struct{ line, column int }

// file is a campaign file that was read: its fields as JSON has them, where each of them stands, and what is wrong so
// far.
type file struct {
	tree   any
	values map[string]place // By path.
	keys   map[string]place // By path, of fields: where their name stands.
	faults []Fault
}

// start is where a fault of the file as a whole is shown.
var start = place{1, 1}

// readFile reads the text, which is YAML or JSON, and holds it against the schema.
func readFile(raw []byte) *file {
	f := &file{values: map[string]place{"": start}, keys: map[string]place{}}
	if f.readTree(raw) {
		f.validate()
		f.resolveCases()
	}
	f.faults = oneAPath(f.faults)
	byLine(f.faults)
	return f
}

// refuse notes a fault at the value of a path.
func (f *file) refuse(path, format string, args ...any) {
	at := f.find(path)
	f.refuseAt(at, path, format, args...)
}

func (f *file) refuseAt(at place, path, format string, args ...any) {
	f.faults = append(f.faults, Fault{Line: at.line, Column: at.column, Path: path, Problem: fmt.Sprintf(format, args...)})
}

// find is where the value of a path stands, or of the nearest that is there and that the path is in.
func (f *file) find(path string) place {
	for {
		if at, ok := f.values[path]; ok {
			return at
		}
		end := strings.LastIndexAny(path, ".[")
		if end < 0 {
			return f.values[""]
		}
		path = path[:end]
	}
}

// Bounds of a file's shape. A campaign needs a tenth of them; beyond them the parser's work grows with the square.
const (
	maxTokens    = 1_000_000
	maxNesting   = 100 // Brackets in brackets.
	maxStructure = 100 // Marks such as - and ? on one line outside of brackets.
)

// readTree fills the tree, or notes why that isn't possible.
func (f *file) readTree(raw []byte) bool {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	raw = bytes.ReplaceAll(raw, []byte("\r"), []byte("\n"))
	if i := firstUnreadable(raw); i >= 0 {
		line := 1 + bytes.Count(raw[:i], []byte("\n"))
		column := utf8.RuneCount(raw[bytes.LastIndexByte(raw[:i], '\n')+1:i]) + 1
		f.refuseAt(place{line, column}, "", "this byte isn't text in UTF-8; was the file saved in another encoding?")
		return false
	}
	body, ok := f.parse(string(raw))
	if !ok {
		return false
	}
	f.tree = f.value(body, "")
	return true
}

// firstUnreadable is the index of the first byte that isn't UTF-8, or is a control character that YAML has no place for.
func firstUnreadable(raw []byte) int {
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRune(raw[i:])
		if (r == utf8.RuneError && size == 1) || (r < ' ' && r != '\n' && r != '\t') || r == 0x7f || r == '\ufeff' {
			return i
		}
		i += size
	}
	return -1
}

// parse returns the one document of the text.
func (f *file) parse(text string) (body ast.Node, ok bool) {
	at := start
	defer func() {
		// The parser has been seen to panic on texts that nobody writes by hand.
		if caught := recover(); caught != nil {
			f.refuseAt(at, "", "this isn't YAML that can be read")
			body, ok = nil, false
		}
	}()
	tokens := lexer.Tokenize(text)
	if !f.bounded(tokens) {
		return nil, false
	}
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		problem := "this isn't YAML that can be read"
		if placed, isPlaced := errors.AsType[yaml.Error](err); isPlaced {
			problem = placed.GetMessage()
			at = placeOf(placed.GetToken())
		}
		f.refuseAt(at, "", "%s", problem)
		return nil, false
	}
	for _, document := range parsed.Docs {
		if document.Body == nil {
			continue
		}
		if _, comment := document.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		if _, directive := document.Body.(*ast.DirectiveNode); directive {
			f.refuseAt(placeOf(document.Body.GetToken()), "", "directives (%%) aren't read here")
			return nil, false
		}
		if body != nil {
			f.refuseAt(beginning(document.Body), "", "a second document begins here; a campaign file has one")
			return nil, false
		}
		body = document.Body
	}
	if body == nil {
		f.refuseAt(start, "", "the file is empty")
		return nil, false
	}
	return body, true
}

// bounded refuses texts of a shape that no campaign has.
func (f *file) bounded(tokens token.Tokens) bool {
	if len(tokens) > maxTokens {
		f.refuseAt(start, "", "the file has more than %d parts", maxTokens)
		return false
	}
	depth, line, structure := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, structure = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth = max(0, depth-1)
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType, token.AnchorType, token.AliasType, token.TagType:
			if depth == 0 {
				structure++
			}
		default:
		}
		if depth > maxNesting || structure > maxStructure {
			f.refuseAt(placeOf(t), "", "this is nested too deep")
			return false
		}
	}
	return true
}

// beginning is where somebody who looks for a node finds it: fields without brackets begin with the first one's name.
func beginning(node ast.Node) place {
	switch n := node.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return placeOf(n.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return placeOf(n.Key.GetToken())
	}
	return placeOf(node.GetToken())
}

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return start
	}
	return place{max(1, t.Position.Line), max(1, t.Position.Column)}
}

// whole is a number that everybody reads the same: 010 is eight to some, 0x10 and 1_000 nothing to others.
var whole = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,17})$`)

// value turns a node into what JSON has for it, and notes where it stands.
func (f *file) value(node ast.Node, path string) any {
	if node == nil {
		f.values[path] = f.find(path)
		return nil
	}
	f.values[path] = beginning(node)
	switch n := node.(type) {
	case *ast.MappingNode:
		return f.mapping(n.Values, path)
	case *ast.MappingValueNode:
		return f.mapping([]*ast.MappingValueNode{n}, path)
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		for i, item := range n.Values {
			list = append(list, f.value(item, path+"["+strconv.Itoa(i)+"]"))
		}
		return list
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.BoolNode:
		return n.Value
	case *ast.NullNode:
		return nil
	case *ast.IntegerNode:
		if text := n.Token.Value; whole.MatchString(text) {
			return json.Number(text)
		}
		f.refuse(path, "%s could be read as several numbers: write it with the digits 0 to 9, or in quotes if it is a text", n.Token.Value)
	case *ast.FloatNode:
		if !math.IsInf(n.Value, 0) && !math.IsNaN(n.Value) {
			return json.Number(strconv.FormatFloat(n.Value, 'g', -1, 64))
		}
		f.refuse(path, "%s isn't a number that can be used here", n.Token.Value)
	case *ast.InfinityNode, *ast.NanNode:
		f.refuse(path, "%s isn't a number that can be used here", node.GetToken().Value)
	case *ast.AnchorNode, *ast.AliasNode:
		f.refuse(path, "anchors (&) and aliases (*) aren't read here: write it out, or in quotes if it is a text")
	case *ast.TagNode:
		f.refuse(path, "tags (!) aren't read here: leave it away, or put the text in quotes")
	default:
		f.refuse(path, "this can't stand here")
	}
	return nil
}

func (f *file) mapping(members []*ast.MappingValueNode, path string) map[string]any {
	fields, seen := make(map[string]any, len(members)), make(map[string]place, len(members))
	for _, member := range members {
		at := placeOf(member.Key.GetToken())
		var name string
		switch key := member.Key.(type) {
		case *ast.StringNode:
			name = key.Value
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
			name = key.GetToken().Value
		default:
			f.refuseAt(at, path, "the name of a field must be plain text")
			continue
		}
		below := name
		if path != "" {
			below = path + "." + name
		}
		if first, twice := seen[name]; twice {
			f.refuseAt(at, below, "is here a second time; the first is on line %d", first.line)
			continue
		}
		seen[name], f.keys[below] = at, at
		fields[name] = f.value(member.Value, below)
	}
	return fields
}

// theSchema is openapi.CampaignSchema, compiled once, and as it is written.
var theSchema = sync.OnceValues(func() (schema struct {
	compiled *jsonschema.Schema
	written  any
}, err error,
) {
	if schema.written, err = jsonschema.UnmarshalJSON(bytes.NewReader(openapi.CampaignSchema)); err != nil {
		return schema, fmt.Errorf("the schema of campaigns isn't JSON: %w", err)
	}
	const name = "campaign.schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.RegisterFormat(&jsonschema.Format{Name: "date", Validate: func(v any) error {
		text, ok := v.(string)
		if !ok {
			return nil
		}
		_, err := civil.Parse(text)
		return err
	}})
	if err = compiler.AddResource(name, schema.written); err == nil {
		schema.compiled, err = compiler.Compile(name)
	}
	if err != nil {
		return schema, fmt.Errorf("the schema of campaigns can't be used: %w", err)
	}
	return schema, nil
})

// validate holds the tree against the schema.
func (f *file) validate() {
	schema, err := theSchema()
	if err == nil {
		err = schema.compiled.Validate(f.tree)
	}
	if err == nil {
		return
	}
	found, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		f.refuse("", "%s", err)
		return
	}
	f.collect(found)
}

// collect notes what is at the bottom of an error: above it stands only that something below is wrong.
func (f *file) collect(e *jsonschema.ValidationError) {
	_, either := e.ErrorKind.(*kind.AnyOf)
	if len(e.Causes) > 0 && !either {
		for _, cause := range e.Causes {
			f.collect(cause)
		}
		return
	}
	path := f.pathOf(e.InstanceLocation)
	below := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			f.refuse(below(name), "is missing")
		}
	case *kind.AdditionalProperties:
		names := possible(e.SchemaURL)
		for _, name := range slices.Sorted(slices.Values(k.Properties)) {
			what := "there is no such field here; possible are "
			if definition(e.SchemaURL) == "rule" {
				what = "there is no such operator; possible are "
			}
			f.refuseAt(f.keys[below(name)], below(name), "%s%s", what, names)
		}
	case *kind.UniqueItems:
		again := fmt.Sprintf("%s[%d]", path, max(k.Duplicates[0], k.Duplicates[1]))
		f.refuse(again, "is there already")
	default:
		f.refuse(path, "%s", problem(e))
	}
}

// pathOf writes a location as people do. Whether a part is an index is seen at the tree.
func (f *file) pathOf(location []string) string {
	var b strings.Builder
	here := f.tree
	for _, name := range location {
		switch v := here.(type) {
		case []any:
			fmt.Fprintf(&b, "[%s]", name)
			here = nil
			if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) {
				here = v[i]
			}
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(name)
			fields, _ := v.(map[string]any)
			here = fields[name]
		}
	}
	return b.String()
}

// definition is the name of the schema's definition that an address leads to, if it leads to one.
func definition(address string) string {
	_, name, _ := strings.Cut(address, "#/$defs/")
	if strings.Contains(name, "/") {
		return ""
	}
	return name
}

// possible lists the fields that the schema has at an address.
func possible(address string) string {
	schema, err := theSchema()
	if err != nil {
		return ""
	}
	_, pointer, _ := strings.Cut(address, "#")
	here := schema.written
	for _, name := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		if name == "" {
			continue
		}
		fields, _ := here.(map[string]any)
		here = fields[name]
	}
	fields, _ := here.(map[string]any)
	properties, _ := fields["properties"].(map[string]any)
	var names []string
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

var mustBe = map[string]string{
	"campaign_id": "%q must be 2 to 63 small letters, digits and dashes",
	"part_id":     "%q must be 1 to 32 letters, digits, dashes and underscores",
	"instant":     "%q isn't an instant: 2021-07-19T20:00:00+09:00, or 2021-07-19 20:00 in the campaign's zone",
}

var english = message.NewPrinter(language.English)

// problem says what is wrong in words.
func problem(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return typeProblem(k)
	case *kind.Enum:
		return fmt.Sprintf("%s isn't one of %s", quote(k.Got), list(k.Want))
	case *kind.AnyOf:
		return `a date that exists belongs here, or "asking" or "slot"`
	case *kind.Format:
		return k.Err.Error()
	case *kind.Pattern:
		if form, ok := mustBe[definition(e.SchemaURL)]; ok {
			return fmt.Sprintf(form, clip(k.Got))
		}
	case *kind.MinProperties:
		switch {
		case definition(e.SchemaURL) == "rule":
			return "an operator belongs here: " + possible(e.SchemaURL)
		case strings.HasSuffix(e.SchemaURL, "/birth_date"):
			return "from, to or both are needed"
		default:
			return "min, max or both are needed"
		}
	case *kind.MaxProperties:
		return fmt.Sprintf("%d operators, and exactly one belongs here; join several with all or any", k.Got)
	case *kind.MinItems, *kind.MinLength:
		return "must not be empty"
	case *kind.MaxItems:
		return fmt.Sprintf("has %d entries, at most %d are possible", k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has %d characters, at most %d are possible", k.Got, k.Want)
	case *kind.Minimum:
		return fmt.Sprintf("is %s and must be at least %s", k.Got.RatString(), k.Want.RatString())
	case *kind.Maximum:
		return fmt.Sprintf("is %s and must be at most %s", k.Got.RatString(), k.Want.RatString())
	}
	return e.ErrorKind.LocalizedString(english)
}

func typeProblem(k *kind.Type) string {
	names := map[string]string{
		"string": "a text", "object": "fields with names", "array": "a list", "integer": "a whole number", "number": "a number",
		"boolean": "true or false", "null": "nothing",
	}
	want := names[k.Want[0]]
	switch {
	case k.Got == "null":
		return "is empty; " + belongs(want)
	case k.Want[0] == "string" && (k.Got == "number" || k.Got == "boolean"):
		return "is " + names[k.Got] + "; a text belongs here, so put it in quotes"
	}
	return "is " + names[k.Got] + "; " + belongs(want)
}

func belongs(what string) string {
	if strings.HasPrefix(what, "fields") {
		return what + " belong here"
	}
	return what + " belongs here"
}

func quote(v any) string {
	if text, ok := v.(string); ok {
		return strconv.Quote(clip(text))
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "this"
	}
	return clip(string(text))
}

func list(values []any) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	return strings.Join(texts, ", ")
}

// clip bounds what a message repeats of somebody's file.
func clip(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// resolveCases writes the instants of cases with their offset, for a case may name local times as a wave may.
func (f *file) resolveCases() {
	root, _ := f.tree.(map[string]any)
	cases, _ := root["cases"].([]any)
	zone := time.UTC // A zone that doesn't exist is a fault of its own.
	if name, _ := root["zone"].(string); name != "" && name != localZone {
		if found, err := time.LoadLocation(name); err == nil {
			zone = found
		}
	}
	for i, item := range cases {
		one, _ := item.(map[string]any)
		for _, name := range []string{"at", "eligible_from"} {
			text, ok := one[name].(string)
			if !ok {
				continue
			}
			at, err := civil.ParseInstant(text, zone)
			if err != nil {
				f.refuse(fmt.Sprintf("cases[%d].%s", i, name), "%s", err)
				continue
			}
			one[name] = at.Format(time.RFC3339Nano)
		}
	}
}

// document decodes the parts that have no fault. The others stay empty, and bad names them.
func (f *file) document() (d Document, bad map[string]bool) {
	d = Document{HoldSeconds: 300, BookUntilSeconds: 3600, ChangeUntilSeconds: 24 * 3600}
	bad = map[string]bool{}
	for _, fault := range f.faults {
		bad[part(fault.Path)] = true
	}
	root, ok := f.tree.(map[string]any)
	if !ok {
		bad[""] = true
		return d, bad
	}
	rest := map[string]any{}
	for name, value := range root {
		if bad[name] {
			continue
		}
		switch items, isList := value.([]any); {
		case name == "waves" && isList:
			d.Waves = decodeItems[Wave](f, name, items, bad)
		case name == "cases" && isList:
			d.Cases = decodeItems[eligibility.Case](f, name, items, bad)
		case name == "regions" && isList:
			d.Regions = decodeItems[Region](f, name, items, bad)
		default:
			rest[name] = value
		}
	}
	for name, value := range rest {
		if err := decode(map[string]any{name: value}, &d); err != nil {
			f.refuse(name, "%s", err)
			bad[name] = true
		}
	}
	byLine(f.faults)
	return d, bad
}

func decodeItems[T any](f *file, name string, items []any, bad map[string]bool) []T {
	list := make([]T, len(items))
	for i, item := range items {
		path := fmt.Sprintf("%s[%d]", name, i)
		if bad[path] {
			continue
		}
		if err := decode(item, &list[i]); err != nil {
			f.refuse(path, "%s", err)
			bad[path] = true
		}
	}
	return list
}

// decode goes through JSON: a document reads the same in a file and in a store.
func decode(tree, into any) error {
	text, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
