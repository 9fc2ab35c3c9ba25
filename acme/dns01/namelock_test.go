package dns01

import (
	"context"
	"testing"
	"time"
)

func TestNameLocks(t *testing.T) {
	type holder struct {
		name, value string
		share       any
	}
	for _, tt := range []struct {
		name          string
		first, second holder
		together      bool
	}{
		{"two names", holder{"a.", "1", nil}, holder{"b.", "1", nil}, true},
		{"one name", holder{"a.", "1", nil}, holder{"a.", "2", nil}, false},
		{"one name, several values kept", holder{"a.", "1", 1}, holder{"a.", "2", 1}, true},
		{"the same value twice", holder{"a.", "1", 1}, holder{"a.", "1", 1}, false},
		{"two accounts", holder{"a.", "1", 1}, holder{"a.", "2", 2}, false},
		{"one that keeps several, one that does not", holder{"a.", "1", 1}, holder{"a.", "2", nil}, false},
		{"one that does not, one that does", holder{"a.", "1", nil}, holder{"a.", "2", 1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var locks nameLocks
			unlock, err := locks.lock(t.Context(), nil, tt.first.name, tt.first.value, tt.first.share, nil)
			if err != nil {
				t.Fatal(err)
			}
			limit := 50 * time.Millisecond // in which the first one holds on
			if tt.together {
				limit = time.Minute
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			second, err := locks.lock(ctx, nil, tt.second.name, tt.second.value, tt.second.share, nil)
			if (err == nil) != tt.together {
				t.Fatalf("second lock: %v, want together %v", err, tt.together)
			}
			unlock()
			if err != nil {
				if second, err = locks.lock(t.Context(), nil, tt.second.name, tt.second.value, tt.second.share, nil); err != nil {
					t.Fatal(err)
				}
			}
			second()
			if len(locks.held) != 0 {
				t.Errorf("%d names held at the end", len(locks.held))
			}
		})
	}
}
