package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// adminCommand hands what follows to commands that are made of the contract, so that whatever the API can do for
// administrators the command line can do too.
type adminCommand struct {
	Arguments []string `arg:"" optional:"" help:"A command and what it needs; jari admin --help lists them."`
}

const adminDescription = `Administers a running server over its API. Each command is one operation of /admin/v1, made from the contract.

JARI_ADMIN_URL is the server's address (http://127.0.0.1:8080 if left out). The key is in JARI_ADMIN_KEY, or in the file that
JARI_ADMIN_KEY_FILE names; arguments are seen by everybody on the machine, so it is never one. For the same reason give what is
personal with --file -, on standard input.

Exit status: 0 done; 1 the command can't be run as it is written; 2 refused, nothing was changed; 3 the key may not; 4 a second
person must approve first (jari admin approve), then run the same again; 5 no answer or too busy, try again.`

// Run finds the operation and does it.
func (c adminCommand) Run(w surroundings) error {
	contract, err := adminCommands()
	if err != nil {
		return err
	}
	return contract.run(w, c.Arguments)
}

func (c *adminContract) run(w surroundings, arguments []string) error {
	exited := -1
	var root struct{}
	options := []kong.Option{
		kong.Name("jari admin"), kong.Description(adminDescription), kong.Writers(w.out, w.err),
		kong.Exit(func(code int) { exited = code }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
		kong.UsageOnError(),
	}
	// Where the first word is a command, the others needn't be known: making all of them is most of what starting costs.
	operations := c.operations
	if at := slices.IndexFunc(operations, func(a *adminOperation) bool { return len(arguments) > 0 && a.name == arguments[0] }); at >= 0 {
		operations = operations[at : at+1]
	}
	targets := map[string]reflect.Value{}
	for _, a := range operations {
		target := reflect.New(reflect.StructOf(a.fields()))
		targets[a.name] = target
		options = append(options, kong.DynamicCommand(a.name, "", "", target.Interface()))
	}
	parser, err := kong.New(&root, options...)
	if err != nil {
		return fmt.Errorf("preparing the commands: %w", err)
	}
	byName := map[string]*adminOperation{}
	for _, a := range operations {
		byName[a.name] = a
	}
	for _, node := range parser.Model.Children {
		byName[node.Name].explain(node)
	}
	// Help is asked for before the rest is parsed: it mustn't need what it is about.
	parsed, err := parser.Parse(arguments)
	if exited == 0 {
		return nil // --help
	}
	if err != nil {
		return fmt.Errorf("%w; see jari admin --help", err)
	}
	a := byName[parsed.Selected().Name]
	return a.do(w, c, given{target: targets[a.name].Elem()})
}

// Names of the fields that aren't inputs.
const (
	fieldJSON   = "JSON"
	fieldFile   = "File"
	fieldOut    = "Out"
	fieldAccept = "Accept"
	fieldAll    = "All"
)

func fieldOf(i int) string { return "Input" + strconv.Itoa(i) }

// fields are the arguments and flags of an operation, as the parser wants them. Help is set afterwards: it has characters
// that mean something in tags.
func (a *adminOperation) fields() []reflect.StructField {
	text, texts, yes := reflect.TypeFor[*string](), reflect.TypeFor[[]string](), reflect.TypeFor[bool]()
	var fields []reflect.StructField
	add := func(name string, kind reflect.Type, tag string) {
		fields = append(fields, reflect.StructField{Name: name, Type: kind, Tag: reflect.StructTag(tag)})
	}
	for i, in := range a.inputs {
		tag := `name:"` + in.flag + `"`
		switch {
		case in.place == inPath:
			add(fieldOf(i), reflect.TypeFor[string](), `arg:"" `+tag)
			continue
		case in.required:
			tag += ` required:""`
		}
		if in.schema != nil && in.schema.Type.Is("array") && in.schema.Items != nil && isScalar(in.schema.Items.Value) {
			add(fieldOf(i), texts, tag+` sep:"none"`)
		} else {
			add(fieldOf(i), text, tag+` placeholder:"`+placeholder(in)+`"`)
		}
	}
	if len(a.contents()) > 0 || a.filePart != "" {
		add(fieldFile, text, `name:"`+flagFile+`" placeholder:"FILE"`)
	}
	if a.downloads() {
		add(fieldOut, text, `name:"`+flagOut+`" placeholder:"FILE"`)
	}
	if len(a.answers) > 1 {
		add(fieldAccept, text, `name:"`+flagAccept+`" placeholder:"TYPE"`)
	}
	if a.page.parameter != "" {
		add(fieldAll, yes, `name:"`+flagAll+`"`)
	}
	add(fieldJSON, yes, `name:"`+flagJSON+`"`)
	return fields
}

// placeholder stands for a flag's value in help.
func placeholder(in adminInput) string {
	switch {
	case in.schema == nil:
		return "TEXT"
	case in.schema.Type.Is("boolean"):
		return "true|false"
	case in.schema.Type.Is("integer"), in.schema.Type.Is("number"):
		return "NUMBER"
	case !isScalar(in.schema), in.schema.Format == "binary":
		return "FILE"
	case in.schema.Format == "date-time":
		return "INSTANT"
	case in.schema.Format == "date":
		return "DATE"
	default:
		return "TEXT"
	}
}

// downloads says whether an answer can be a file rather than something to be shown.
func (a *adminOperation) downloads() bool {
	return slices.ContainsFunc(a.answers, func(kind string) bool { return kind != jsonKind && kind != streamKind })
}

const streamKind = "text/event-stream"

// explain writes the help of a command.
func (a *adminOperation) explain(node *kong.Node) {
	node.Help = a.summary
	node.Detail = strings.TrimSpace(a.detail) + "\n\n" + a.method + " " + a.path
	if a.guard != "" {
		node.Detail += fmt.Sprintf(". The key's role: %s, or one that may more.", a.guard)
	}
	node.Detail = strings.TrimSpace(node.Detail)
	node.Group = &kong.Group{Key: a.group, Title: a.group}
	help := map[string]string{
		flagJSON:   "Print the answer as the server gives it, as JSON.",
		flagAll:    "Ask for all pages.",
		flagFile:   "What to send: " + strings.Join(a.bodies, ", ") + "; - is standard input. YAML is sent as JSON. Flags go before what it says.",
		flagOut:    "Write the answer into this new file, instead of standard output.",
		flagAccept: "Which form the answer has: " + strings.Join(a.answers, ", ") + ".",
	}
	for i := range a.inputs {
		help[a.inputs[i].flag] = a.inputs[i].help
	}
	for _, flag := range node.Flags {
		if flag.Name != "help" {
			flag.Help = help[flag.Name]
		}
	}
	for _, argument := range node.Positional {
		argument.Help = help[argument.Name]
	}
}

// given is what was typed.
type given struct{ target reflect.Value }

// text is a value, and whether it was given.
func (g given) text(field string) (string, bool) {
	v := g.target.FieldByName(field)
	if !v.IsValid() {
		return "", false
	}
	switch value := v.Interface().(type) {
	case string:
		return value, true
	case *string:
		if value != nil {
			return *value, true
		}
	}
	return "", false
}

func (g given) texts(field string) []string {
	if v := g.target.FieldByName(field); v.IsValid() {
		if list, ok := v.Interface().([]string); ok {
			return list
		}
	}
	return nil
}

func (g given) yes(field string) bool {
	v := g.target.FieldByName(field)
	return v.IsValid() && v.Kind() == reflect.Bool && v.Bool()
}

// do makes the request, sends it, and shows the answer.
func (a *adminOperation) do(w surroundings, c *adminContract, g given) error {
	s, err := administer(w)
	if err != nil {
		return err
	}
	request, err := a.request(w, g)
	if err != nil {
		return err
	}
	show := &adminPrinter{w: w, contract: c, operation: a, language: s.language, json: g.yes(fieldJSON)}
	show.out, _ = g.text(fieldOut)
	if g.yes(fieldAll) {
		return a.allPages(s, request, show)
	}
	answer, err := s.do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	err = show.answer(answer)
	if errors.Is(err, context.Canceled) && w.ctx.Err() != nil {
		return nil // a stream that was watched until Ctrl-C
	}
	return err
}

// allPages asks until there is no next page, and shows the rows as one list.
func (a *adminOperation) allPages(s *adminServer, request adminRequest, show *adminPrinter) error {
	var whole map[string]any
	for {
		answer, err := s.do(request) //nolint:bodyclose // readObject closes it
		if err != nil {
			return err
		}
		page, err := readObject(answer)
		if err != nil {
			return err
		}
		rows, list := onlyList(page)
		next := a.next(page, list)
		if whole == nil {
			whole = page
		} else if kept, ok := whole[rows].([]any); ok {
			whole[rows] = append(kept, list...)
		}
		if next == "" || len(list) == 0 || next == request.query.Get(a.page.parameter) {
			delete(whole, a.page.next)
			return show.value(whole, a.answer)
		}
		request.query.Set(a.page.parameter, next)
	}
}

// next is what the parameter must be for the next page; empty at the end.
func (a *adminOperation) next(page map[string]any, list []any) string {
	value := page[a.page.next]
	if a.page.item != "" {
		value = nil
		if len(list) > 0 {
			if last, ok := list[len(list)-1].(map[string]any); ok {
				value = last[a.page.item]
			}
		}
	}
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	default:
		return ""
	}
}

// onlyList finds the one list of an answer.
func onlyList(page map[string]any) (name string, rows []any) {
	for key, value := range page {
		if list, ok := value.([]any); ok {
			return key, list
		}
	}
	return "", nil
}

// adminRequest is a request before it is sent; a page changes its query.
type adminRequest struct {
	method, path string
	query        url.Values
	header       http.Header
	body         []byte
}
