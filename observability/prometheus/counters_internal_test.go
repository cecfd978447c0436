package getcdprom

import (
	"reflect"
	"testing"

	"github.com/getcd/getcd/client"
)

// Each counter of a client is exported once. Calls and attempts are counted as they end, by
// their method.
func TestEveryCounter(t *testing.T) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[client.Counters]()) {
		if field.Anonymous || field.Name == "Calls" || field.Name == "Attempts" {
			continue
		}
		var r reading
		reflect.ValueOf(&r.Counters).Elem().FieldByIndex(field.Index).SetUint(1)
		var found []string
		for _, c := range counters {
			if c.value(r) == 1 {
				found = append(found, c.name)
			}
		}
		if len(found) != 1 {
			t.Errorf("%s is exported as %q, want it once", field.Name, found)
		}
	}
}
