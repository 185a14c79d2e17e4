// Package tap prints results in the Test Anything Protocol, version 13: as much of the interface of
// github.com/mndrix/tap-go (which Debian has no package of) as the validation suite calls.
package tap

import (
	"encoding/json"
	"fmt"
	"strings"
)

// T counts the assertions of one program.
type T struct {
	count *int
	todo  bool
}

// New begins a program without assertions.
func New() *T { return &T{count: new(int)} }

// Header prints the version, and the plan when it is known already.
func (t *T) Header(planned int) {
	fmt.Println("TAP version 13")
	if planned > 0 {
		fmt.Printf("1..%d\n", planned)
	}
}

// AutoPlan prints the plan after the fact.
func (t *T) AutoPlan() { fmt.Printf("1..%d\n", *t.count) }

// Ok is an assertion.
func (t *T) Ok(passed bool, description string) {
	result, directive := "ok", ""
	if !passed {
		result = "not ok"
	}
	if t.todo {
		directive = " # TODO"
	}
	*t.count++
	fmt.Printf("%s %d - %s%s\n", result, *t.count, description, directive)
}

// Pass is an assertion that holds.
func (t *T) Pass(description string) { t.Ok(true, description) }

// Fail is an assertion that does not.
func (t *T) Fail(description string) { t.Ok(false, description) }

// Skip stands for that many assertions which could not be made.
func (t *T) Skip(count int, reason string) {
	for ; count > 0; count-- {
		*t.count++
		fmt.Printf("ok %d # SKIP %s\n", *t.count, reason)
	}
}

// Todo counts with t, and marks its assertions as not expected to hold.
func (t *T) Todo() *T { return &T{count: t.count, todo: true} }

// Diagnostic prints a remark.
func (t *T) Diagnostic(text string) {
	fmt.Println("# " + strings.ReplaceAll(text, "\n", "\n# "))
}

// Diagnosticf formats a remark.
func (t *T) Diagnosticf(format string, values ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, values...))
}

// YAML prints details of the assertion before it; JSON is YAML.
func (t *T) YAML(details interface{}) error {
	text, err := json.Marshal(details)
	if err == nil {
		fmt.Printf("  ---\n  %s\n  ...\n", text)
	}
	return err
}
