package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"jari/internal/civil"
	"jari/internal/fault"
	"jari/openapi"
)

// contract is openapi/jari.yaml, ready to be held against requests.
type contract struct {
	document   *openapi3.T
	operations map[string]declared // by operationId
}

// declared is an operation as the contract has it.
type declared struct {
	route           *routers.Route
	guard           guard
	developmentOnly bool
	// streams: it can be answered by events that go on.
	streams bool
	// bodyBytes is the largest body where an operation allows more than the rest.
	bodyBytes int64
	// file is for operations whose body is a file, which is read as it comes; long for those that may take their time.
	file, long bool
}

// defineDate refuses a date of the right form that doesn't exist, such as 2021-02-30, like any other text. The library
// keeps formats for the whole process, in a map that every request reads: it is written once, before the first server.
var defineDate = sync.OnceFunc(func() {
	openapi3.DefineStringFormatValidator("date", openapi3.NewCallbackValidator(func(text string) error {
		_, err := civil.Parse(text)
		return err
	}))
})

// readContract gives the embedded document, loaded and checked. It is the same for every server of the process, so nobody
// changes it, and it is read once: that takes longer than everything else before a server answers.
var readContract = sync.OnceValues(loadContract)

func loadContract() (*contract, error) {
	document, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		return nil, fmt.Errorf("reading the contract: %w", err)
	}
	defineDate()
	if err := document.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("the contract isn't valid: %w", err)
	}
	c := &contract{document: document, operations: map[string]declared{}}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			g, _ := operation.Extensions["x-jari-guard"].(string)
			development, _ := operation.Extensions["x-jari-development"].(bool)
			file, _ := operation.Extensions["x-jari-file"].(bool)
			long, _ := operation.Extensions["x-jari-long"].(bool)
			bodyBytes, _ := operation.Extensions["x-jari-body-bytes"].(float64)
			c.operations[operation.OperationID] = declared{
				route: &routers.Route{
					Spec: document, Path: path, PathItem: item, Method: method, Operation: operation,
				},
				guard:           guard(g),
				developmentOnly: development,
				streams:         streams(operation),
				bodyBytes:       int64(bodyBytes),
				file:            file,
				long:            long,
			}
		}
	}
	return c, nil
}

// streams tells whether an operation can be answered by events.
func streams(o *openapi3.Operation) bool {
	ok := o.Responses.Status(http.StatusOK)
	return ok != nil && ok.Value.Content[eventStream] != nil
}

var pathParameter = regexp.MustCompile(`\{([^}]+)\}`)

// echoPath writes a path of the contract as the web framework has it.
func echoPath(path string) string { return pathParameter.ReplaceAllString(path, ":$1") }

// validate holds requests of one operation against the contract. The route is known already, so none is looked up.
func (c *contract) validate(op declared, bodyBytes int64) echo.MiddlewareFunc {
	options := &openapi3filter.Options{
		MultiError:         true,
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, // guards have done it
		KeepValidatedValue: true,
	}
	hasBody := op.route.Operation.RequestBody != nil
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if hasBody {
				required := op.route.Operation.RequestBody.Value.Required
				if err := readBody(c, required, bodyBytes); err != nil {
					return err
				}
			}
			parameters := make(map[string]string, len(c.ParamNames()))
			for i, name := range c.ParamNames() {
				parameters[name] = c.ParamValues()[i]
			}
			input := &openapi3filter.RequestValidationInput{
				Request: r, PathParams: parameters, Route: op.route, Options: options,
			}
			if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
				return invalid(err)
			}
			return next(c)
		}
	}
}

// readBody reads the whole body, bounded, and checks that it is one JSON value.
func readBody(c echo.Context, required bool, most int64) error {
	r := c.Request()
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, most))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return fault.New(fault.TooLarge, fault.CodeBodyTooLarge)
	}
	if err != nil {
		return fault.New(fault.Invalid, fault.CodeMalformedJSON).Because(err)
	}
	if len(body) == 0 && !required {
		r.Body, r.ContentLength = http.NoBody, 0
		return nil
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType)); err != nil || mediaType != echo.MIMEApplicationJSON {
		return fault.New(fault.Unsupported, fault.CodeUnsupportedMedia)
	}
	if !json.Valid(body) {
		return fault.New(fault.Invalid, fault.CodeMalformedJSON)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

// invalid turns what the validator found into fields. It never repeats a value.
func invalid(err error) error {
	// Without its cause: the validator's error repeats the body, and with it names and phones, into the log.
	e := fault.New(fault.Invalid, fault.CodeInvalidRequest)
	add := func(pointer, problem string) { e = e.Field(pointer, problem) }
	describe(err, "", add)
	if len(e.Fields) == 0 {
		add("", "doesn't fit the contract")
	}
	return e
}

// describe walks from the outside in: a parameter's error holds the schema's, and says which parameter it is.
func describe(err error, where string, add func(pointer, problem string)) {
	switch e := err.(type) { //nolint:errorlint // each layer is looked at on its own; As would skip some
	case openapi3.MultiError:
		for _, one := range e {
			describe(one, where, add)
		}
	case *openapi3filter.RequestError:
		if e.Parameter != nil {
			where = e.Parameter.Name
		}
		if e.Err == nil {
			add(where, e.Reason)
			return
		}
		describe(e.Err, where, add)
	case *openapi3.SchemaError:
		add(strings.Join(append([]string{where}, e.JSONPointer()...), "/"), problemOf(e))
	default:
		if inner := errors.Unwrap(err); inner != nil {
			describe(inner, where, add)
			return
		}
		add(where, "can't be read")
	}
}

// problemOf says what is wrong without the value itself.
func problemOf(s *openapi3.SchemaError) string {
	switch s.SchemaField {
	case "format":
		if s.Schema != nil && s.Schema.Format == "date" {
			return "must be a date that exists, as YYYY-MM-DD"
		}
		return "has the wrong form"
	case "pattern":
		return "has the wrong form"
	case "enum":
		return "is none of the allowed values"
	case "type":
		return "has the wrong type"
	case "required":
		return "is missing"
	case "properties":
		return s.Reason // names a field that isn't known
	case "minLength", "minItems", "minimum", "minProperties":
		return "is too short or too small"
	case "maxLength", "maxItems", "maximum", "maxProperties":
		return "is too long or too large"
	case "nullable":
		return "must not be null"
	default:
		return "doesn't fit the contract"
	}
}
