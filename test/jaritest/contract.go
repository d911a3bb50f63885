package jaritest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"jari/internal/sheet"
	"jari/openapi"
)

// contract is openapi/jari.yaml, ready to be held against answers.
type contract struct {
	document *openapi3.T
	paths    []template // those without parameters before those that are like them
}

// template is a path of the contract.
type template struct {
	path  string
	parts []string
	item  *openapi3.PathItem
}

// loadDocument reads the contract once for all tests of the process.
var loadDocument = sync.OnceValues(func() (*openapi3.T, error) {
	openapi3filter.RegisterBodyDecoder("text/calendar", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/csv", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/fhir+ndjson", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder(sheet.MediaXLSX, openapi3filter.FileBodyDecoder)
	return openapi3.NewLoader().LoadFromData(openapi.Document)
})

// loadContract does too.
var loadContract = sync.OnceValues(func() (*contract, error) {
	document, err := loadDocument()
	if err != nil {
		return nil, err
	}
	c := &contract{document: document}
	for path, item := range document.Paths.Map() {
		c.paths = append(c.paths, template{path: path, parts: strings.Split(path, "/"), item: item})
	}
	slices.SortFunc(c.paths, func(a, b template) int { return cmp.Compare(a.path, b.path) }) // a brace is behind all letters
	return c, nil
})

func readContract(t testing.TB) *contract {
	t.Helper()
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Document is the contract. All tests share it, so none changes it.
func Document(t testing.TB) *openapi3.T {
	t.Helper()
	document, err := loadDocument()
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// pages answer without being operations of the contract.
func isPage(path string) bool {
	return path == "/openapi.yaml" || path == "/campaign.schema.json" || path == "/docs" || strings.HasPrefix(path, "/docs/")
}

// check says what in an exchange the contract doesn't allow.
func (c *contract) check(r *http.Request, sent []byte, got Response) error {
	route, parameters := c.find(r)
	if route == nil {
		return c.checkOutside(r, got)
	}
	request := &openapi3filter.RequestValidationInput{
		Request: withBody(r, sent), PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	// Of a file the contract only says that it is one.
	request.Options.ExcludeRequestBody, _ = route.Operation.Extensions["x-jari-file"].(bool)
	if got.Status < http.StatusBadRequest {
		// What the server accepts, the contract has to allow.
		if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil {
			return fmt.Errorf("the server answered %d to a request that the contract refuses: %w", got.Status, err)
		}
	}
	if r.Method == http.MethodHead {
		return checkHead(route, got)
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: got.Status, Header: got.Header,
		Options: &openapi3filter.Options{MultiError: true, IncludeResponseStatus: true},
	}
	body, err := got.unpacked()
	if err != nil {
		return err
	}
	answer.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(r.Context(), answer); err != nil {
		return fmt.Errorf("the contract doesn't allow the answer %d %s: %w", got.Status, got.Code, err)
	}
	if declared := route.Operation.Responses.Status(got.Status); declared != nil && len(declared.Value.Content) == 0 && len(got.Body) > 0 {
		return fmt.Errorf("the answer %d has a body and the contract says it has none", got.Status)
	}
	return nil
}

// unpacked is the body as it was before it was compressed.
func (r Response) unpacked() ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" || len(r.Body) == 0 {
		return r.Body, nil
	}
	reader, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("the answer isn't compressed as it says: %w", err)
	}
	return io.ReadAll(reader)
}

// checkHead is for answers that say what GET would, without saying it.
func checkHead(route *routers.Route, got Response) error {
	if len(got.Body) > 0 {
		return errors.New("the answer to HEAD has a body")
	}
	if got.Status != http.StatusMethodNotAllowed && route.Operation.Responses.Status(got.Status) == nil {
		return fmt.Errorf("the contract doesn't allow the answer %d", got.Status)
	}
	return nil
}

// checkOutside is for what isn't an operation: pages, and problems about paths and methods that don't exist.
func (c *contract) checkOutside(r *http.Request, got Response) error {
	if isPage(r.URL.Path) && got.Status < http.StatusBadRequest {
		return nil
	}
	if r.Method == http.MethodOptions && got.Status == http.StatusNoContent && len(got.Body) == 0 && got.Header.Get("Allow") != "" {
		return nil // what HTTP itself says about a path
	}
	if got.Status != http.StatusNotFound && got.Status != http.StatusMethodNotAllowed {
		return fmt.Errorf("no operation of the contract, and the answer is %d", got.Status)
	}
	if r.Method == http.MethodHead {
		return nil
	}
	return c.checkProblem(got)
}

func (c *contract) checkProblem(got Response) error {
	var problem any
	if err := got.decode(&problem); err != nil {
		return fmt.Errorf("the answer %d isn't a problem: %w", got.Status, err)
	}
	return c.document.Components.Schemas["Problem"].Value.VisitJSON(problem, openapi3.MultiErrors())
}

// find gives the operation of a request. Paths are compared part by part, as they were sent.
func (c *contract) find(r *http.Request) (*routers.Route, map[string]string) {
	sent := strings.Split(r.URL.EscapedPath(), "/")
	for _, known := range c.paths {
		parameters, ok := match(known.parts, sent)
		if !ok {
			continue
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet // the same without a body; the contract doesn't list it
		}
		if operation := known.item.GetOperation(method); operation != nil {
			return &routers.Route{
				Spec: c.document, Path: known.path, PathItem: known.item, Method: method, Operation: operation,
			}, parameters
		}
	}
	return nil, nil
}

func match(template, sent []string) (map[string]string, bool) {
	if len(template) != len(sent) {
		return nil, false
	}
	for i, part := range template {
		if part != sent[i] && !strings.HasPrefix(part, "{") {
			return nil, false
		}
	}
	parameters := map[string]string{}
	for i, part := range template {
		if !strings.HasPrefix(part, "{") {
			continue
		}
		value, err := url.PathUnescape(sent[i])
		if err != nil || sent[i] == "" {
			return nil, false
		}
		parameters[strings.Trim(part, "{}")] = value
	}
	return parameters, true
}

// withBody is the request with the body that was sent.
func withBody(r *http.Request, sent []byte) *http.Request {
	again := r.Clone(context.WithoutCancel(r.Context()))
	again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(len(sent))
	if len(sent) == 0 {
		again.Body = http.NoBody
	}
	return again
}

// Operation is one line of the contract.
type Operation struct {
	ID, Method, Path, Guard string
	HasBody                 bool
}

// Operations are all operations of the contract.
func Operations(t testing.TB) []Operation {
	t.Helper()
	var all []Operation
	for path, item := range Document(t).Paths.Map() {
		for method, o := range item.Operations() {
			g, _ := o.Extensions["x-jari-guard"].(string)
			all = append(all, Operation{ID: o.OperationID, Method: method, Path: path, Guard: g, HasBody: o.RequestBody != nil})
		}
	}
	if len(all) == 0 {
		t.Fatal(errors.New("the contract has no operation"))
	}
	return all
}

// Methods are those that are answered at a path: what the contract has, and HEAD where anybody may GET.
func Methods(t testing.TB, path string) map[string]bool {
	t.Helper()
	methods := map[string]bool{}
	item := Document(t).Paths.Value(path)
	if item == nil {
		t.Fatalf("the contract has no path %s", path)
	}
	for method, o := range item.Operations() {
		methods[method] = true
		if method == http.MethodGet && o.Extensions["x-jari-guard"] == "public" && o.Extensions["x-jari-development"] == nil {
			methods[http.MethodHead] = true
		}
	}
	return methods
}

// LikeAnother tells whether a path reads, with this method, as another one's: slots/import as the slot that is called import.
func LikeAnother(t testing.TB, method, path string) bool {
	t.Helper()
	parts := strings.Split(path, "/")
	return slices.ContainsFunc(readContract(t).paths, func(other template) bool {
		if other.path == path || other.item.GetOperation(method) == nil {
			return false
		}
		_, same := match(other.parts, parts)
		return same
	})
}
