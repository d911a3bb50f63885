package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/goccy/go-yaml"

	"jari/openapi"
)

// adminPrefix is where the operations for administrators are in the contract.
const adminPrefix = "/admin/v1/"

// adminOperation is an operation of the contract as a command.
type adminOperation struct {
	name, group     string
	method, path    string
	guard           string
	summary, detail string
	inputs          []adminInput
	// bodies are the media types that the request can have, JSON first; none where it has no body.
	bodies       []string
	bodyRequired bool
	// filePart is the one part of a form that is a file; --file is it. Empty where there is none, or several.
	filePart string
	// answers are the media types of its success, JSON first.
	answers []string
	answer  *openapi3.SchemaRef // of the JSON answer, nil without one
	page    adminPage
}

// place is where an input goes.
type adminPlace int

// The places.
const (
	inPath adminPlace = iota
	inQuery
	inHeader
	inBody
	inForm
)

// adminInput is an argument or a flag.
type adminInput struct {
	place    adminPlace
	name     string // as the contract has it
	flag     string // as the command line has it, without dashes
	help     string
	required bool
	schema   *openapi3.Schema
}

// adminPage says how a list goes on: the parameter takes the answer's member next, or the member item of its last row.
type adminPage struct{ parameter, next, item string }

// adminContract is what the commands are made of.
type adminContract struct {
	operations []*adminOperation
	// order has the members of each named schema as the document writes them.
	order map[string][]string
}

// readAdminContract makes commands of every operation for administrators.
func readAdminContract(raw []byte) (*adminContract, error) {
	document, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the contract: %w", err)
	}
	c := &adminContract{order: memberOrder(raw)}
	for _, path := range slices.Sorted(maps.Keys(document.Paths.Map())) {
		if !strings.HasPrefix(path, adminPrefix) {
			continue
		}
		item := document.Paths.Value(path)
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			if operation := item.GetOperation(method); operation != nil {
				c.operations = append(c.operations, c.command(method, path, item, operation))
			}
		}
	}
	c.nameThem()
	return c, nil
}

// memberOrder is the order in which the document writes the members of its schemas; the library keeps them in maps.
func memberOrder(raw []byte) map[string][]string {
	order := map[string][]string{}
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Properties yaml.MapSlice `yaml:"properties"`
				AllOf      []struct {
					Ref        string        `yaml:"$ref"`
					Properties yaml.MapSlice `yaml:"properties"`
				} `yaml:"allOf"`
			} `yaml:"schemas"`
		} `yaml:"components"`
	}
	if yaml.Unmarshal(raw, &document) != nil {
		return order // then columns are sorted by name
	}
	for name, schema := range document.Components.Schemas {
		members := schema.Properties
		for _, part := range schema.AllOf {
			members = append(members, document.Components.Schemas[strings.TrimPrefix(part.Ref, schemaPrefix)].Properties...)
			members = append(members, part.Properties...)
		}
		for _, member := range members {
			order[name] = append(order[name], fmt.Sprint(member.Key))
		}
	}
	return order
}

const schemaPrefix = "#/components/schemas/"

// command reads one operation.
func (c *adminContract) command(method, path string, item *openapi3.PathItem, o *openapi3.Operation) *adminOperation {
	guard, _ := o.Extensions["x-jari-guard"].(string)
	a := &adminOperation{
		name: o.OperationID, group: groupOf(path), method: method, path: path, guard: guard, summary: o.Summary, detail: o.Description,
	}
	for _, list := range []openapi3.Parameters{item.Parameters, o.Parameters} {
		for _, p := range list {
			a.parameter(p.Value)
		}
	}
	// Arguments come as the path has them.
	slices.SortStableFunc(a.inputs, func(x, y adminInput) int {
		return cmp.Compare(strings.Index(path, "{"+x.name+"}"), strings.Index(path, "{"+y.name+"}"))
	})
	if o.RequestBody != nil {
		a.body(o.RequestBody.Value, c)
	}
	for status, response := range o.Responses.Map() {
		if !strings.HasPrefix(status, "2") || response.Value == nil {
			continue
		}
		for kind, media := range response.Value.Content {
			a.answers = append(a.answers, kind)
			if kind == jsonKind {
				a.answer = media.Schema
			}
		}
	}
	a.answers = jsonFirst(a.answers)
	a.page = a.paging()
	a.nameFlags()
	return a
}

const (
	jsonKind = "application/json"
	formKind = "multipart/form-data"
)

// jsonFirst sorts media types, JSON before all others, each once.
func jsonFirst(kinds []string) []string {
	slices.SortFunc(kinds, func(x, y string) int {
		if (x == jsonKind) != (y == jsonKind) {
			return map[bool]int{true: -1, false: 1}[x == jsonKind]
		}
		return cmp.Compare(x, y)
	})
	return slices.Compact(kinds)
}

// groupOf is the heading under which help shows an operation: what it is about.
func groupOf(path string) string {
	var static []string
	for _, part := range strings.Split(strings.TrimPrefix(path, adminPrefix), "/") {
		if !strings.HasPrefix(part, "{") {
			static = append(static, part)
		}
	}
	if len(static) > 1 && static[0] == "campaigns" {
		return "Campaigns: " + static[1]
	}
	return strings.ToUpper(static[0][:1]) + static[0][1:]
}

func (a *adminOperation) parameter(p *openapi3.Parameter) {
	input := adminInput{name: p.Name, required: p.Required, help: p.Description}
	if p.Schema != nil {
		input.schema = p.Schema.Value
	}
	switch p.In {
	case "path":
		input.place, input.required = inPath, true
	case "query":
		input.place = inQuery
	case "header":
		input.place = inHeader
	default:
		return // a cookie is a browser's
	}
	input.help = describeInput(input)
	a.inputs = append(a.inputs, input)
}

// body reads what can be sent: the members of a JSON object and the parts of a form become flags.
func (a *adminOperation) body(body *openapi3.RequestBody, c *adminContract) {
	a.bodyRequired = body.Required
	for kind, media := range body.Content {
		a.bodies = append(a.bodies, kind)
		place := inBody
		switch kind {
		case jsonKind, "application/merge-patch+json":
		case formKind:
			place = inForm
		default:
			continue
		}
		required := map[string]bool{}
		properties := membersOf(media.Schema, required)
		if place == inForm {
			a.filePart = onlyFile(properties)
		}
		for _, name := range c.inOrder(media.Schema, properties) {
			if place == inForm && name == a.filePart {
				continue
			}
			input := adminInput{place: place, name: name, schema: properties[name].Value, required: place == inForm && required[name]}
			input.help = describeInput(input)
			if required[name] && place == inBody {
				input.help += " Needed, here or in --file."
			}
			a.inputs = append(a.inputs, input)
		}
	}
	a.bodies = jsonFirst(a.bodies)
}

// onlyFile is the name of the one part that is a file, or empty.
func onlyFile(parts map[string]*openapi3.SchemaRef) (name string) {
	for part, schema := range parts {
		if schema.Value == nil || schema.Value.Format != "binary" {
			continue
		}
		if name != "" {
			return ""
		}
		name = part
	}
	return name
}

// membersOf are the members of an object, of all its parts and of all its variants.
func membersOf(ref *openapi3.SchemaRef, required map[string]bool) map[string]*openapi3.SchemaRef {
	members := map[string]*openapi3.SchemaRef{}
	if ref == nil || ref.Value == nil {
		return members
	}
	for _, name := range ref.Value.Required {
		required[name] = true
	}
	maps.Copy(members, ref.Value.Properties)
	for _, part := range ref.Value.AllOf {
		maps.Copy(members, membersOf(part, required))
	}
	for _, variant := range slices.Concat(ref.Value.OneOf, ref.Value.AnyOf) {
		maps.Copy(members, membersOf(variant, map[string]bool{})) // what one variant needs, another may not have
	}
	return members
}

// inOrder are the names of members as the document writes them; those that it doesn't name come after, by name.
func (c *adminContract) inOrder(ref *openapi3.SchemaRef, members map[string]*openapi3.SchemaRef) []string {
	var known []string
	if ref != nil {
		known = c.order[strings.TrimPrefix(ref.Ref, schemaPrefix)]
	}
	names := slices.Sorted(maps.Keys(members))
	slices.SortStableFunc(names, func(x, y string) int { return cmp.Compare(rank(known, x), rank(known, y)) })
	return names
}

// rank is where a name stands in a list; ids stand first where there is none.
func rank(list []string, name string) int {
	if at := slices.Index(list, name); at >= 0 {
		return at
	}
	if strings.HasSuffix(name, "_id") || name == "id" {
		return len(list)
	}
	return len(list) + 1
}

// describeInput is the help of an argument or flag, from what the contract says of it.
func describeInput(in adminInput) string {
	s := in.schema
	if s == nil {
		return in.help
	}
	words := []string{strings.TrimSpace(cmp.Or(in.help, s.Description))}
	if words[0] == "" {
		words = nil
	}
	element := s
	if s.Type.Is("array") && s.Items != nil && s.Items.Value != nil {
		element = s.Items.Value
		if isScalar(element) {
			words = append(words, "May be given several times.")
		}
	}
	if len(element.Enum) > 0 {
		var values []string
		for _, v := range element.Enum {
			values = append(values, fmt.Sprint(v))
		}
		words = append(words, "One of "+strings.Join(values, ", ")+".")
	}
	switch {
	case in.place == inForm && s.Format == "binary":
		words = append(words, "A file.")
	case !isScalar(element):
		words = append(words, "A file, YAML or JSON; - is standard input.")
	case s.Format == "date-time":
		words = append(words, "As 2021-07-19T20:00:00+09:00.")
	case s.Format == "date":
		words = append(words, "As 2021-07-19.")
	}
	if s.Default != nil {
		words = append(words, fmt.Sprintf("%v if left out.", s.Default))
	}
	return strings.Join(words, " ")
}

// isScalar says whether a value fits on a command line.
func isScalar(s *openapi3.Schema) bool {
	return !s.Type.Is("object") && !s.Type.Is("array") && len(s.Properties) == 0 && (s.Type != nil || len(s.Enum) > 0 || s.Format != "")
}

// paging finds out how a list goes on: its parameter says which member of a row leads on (x-jari-next-page), or the answer
// has a member called next, or next_ and the parameter's name.
func (a *adminOperation) paging() adminPage {
	members := membersOf(a.answer, map[string]bool{})
	for _, in := range a.inputs {
		if in.place != inQuery || in.schema == nil {
			continue
		}
		if item, ok := in.schema.Extensions["x-jari-next-page"].(string); ok {
			return adminPage{parameter: in.name, item: item}
		}
		if next := "next_" + in.name; has(members, next) {
			return adminPage{parameter: in.name, next: next}
		}
	}
	// From the plainest to one that a list may have for something else: the first of its days.
	for _, name := range []string{"cursor", "after", "before", "page", "from"} {
		if has(members, "next") && slices.ContainsFunc(a.inputs, func(in adminInput) bool { return in.place == inQuery && in.name == name }) {
			return adminPage{parameter: name, next: "next"}
		}
	}
	return adminPage{}
}

func has[V any](members map[string]V, name string) bool {
	_, ok := members[name]
	return ok
}

// Flags that commands have besides those of the contract.
const (
	flagFile   = "file"
	flagJSON   = "json"
	flagOut    = "out"
	flagAccept = "accept"
	flagAll    = "all"
)

// nameFlags gives each input a name that no other has.
func (a *adminOperation) nameFlags() {
	taken := map[string]bool{"help": true, flagFile: true, flagJSON: true, flagOut: true, flagAccept: true, flagAll: true}
	for i := range a.inputs {
		in := &a.inputs[i]
		flag := kebab(in.name)
		for n := 2; taken[flag]; n++ {
			flag = map[adminPlace]string{inPath: "the-", inQuery: "query-", inHeader: "header-", inBody: "body-", inForm: "form-"}[in.place] + kebab(in.name)
			if taken[flag] {
				flag += strconv.Itoa(n)
			}
		}
		taken[flag], in.flag = true, flag
	}
}

// nameThem names the commands: looking is a noun (listKeys is keys, getRoom is room), doing is a verb (createKey is
// create-key).
func (c *adminContract) nameThem() {
	taken := map[string]int{}
	short := func(a *adminOperation) string {
		for _, look := range []string{"list", "get"} {
			if noun, ok := strings.CutPrefix(a.name, look); ok && noun != "" && a.method == http.MethodGet {
				return kebab(noun)
			}
		}
		return kebab(a.name)
	}
	for _, a := range c.operations {
		taken[short(a)]++
	}
	for _, a := range c.operations {
		if name := short(a); taken[name] == 1 {
			a.name = name
		} else {
			a.name = kebab(a.name)
		}
	}
}

// kebab writes a name as commands and flags have it: publishVersion is publish-version, effective_at effective-at.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		upper := r >= 'A' && r <= 'Z'
		switch {
		case r == '_' || r == '.' || r == '$':
			r = '-'
		case upper && i > 0 && b.String()[b.Len()-1] != '-' && !(name[i-1] >= 'A' && name[i-1] <= 'Z'):
			b.WriteByte('-')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return strings.Trim(b.String(), "-")
}

// adminCommands are those of the contract that this binary carries. They are read once.
var adminCommands = sync.OnceValues(func() (*adminContract, error) { return readAdminContract(openapi.Document) })
