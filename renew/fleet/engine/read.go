package engine

import (
	"context"
	"time"
)

// Timeout is how long one request may take that its caller does not limit more.
const Timeout = 10 * time.Second

// Read returns what Engine.Read does, within Timeout.
func Read(ctx context.Context, e Engine, prefix string) (Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return e.Read(ctx, prefix)
}

// ReadKey returns the entry of one key, within Timeout. Its Value is nil if there is none.
func ReadKey(ctx context.Context, e Engine, key string) (Entry, error) {
	snapshot, err := Read(ctx, e, key)
	if err != nil {
		return Entry{}, err
	}
	for _, entry := range snapshot.Entries {
		if entry.Key == key {
			return entry, nil
		}
	}
	return Entry{Key: key}, nil
}
