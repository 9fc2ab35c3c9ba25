package fleet

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"

	files "keypaird/cmd/keypaird/config/file"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/remote"
	"keypaird/renew/fleet/wire"
)

// connectEngine opens the engine of a configuration by keypaird-fleet, until end is called.
func connectEngine(ctx context.Context, cfg *config.Config, log *slog.Logger) (e engine.Engine, end func()) {
	return open(ctx, cfg, log)
}

func open(ctx context.Context, cfg *config.Config, log *slog.Logger) (r *remote.Engine, end func()) {
	r = remote.New(remote.Options{Settings: func() (wire.Settings, error) { return Settings(cfg) }, Log: log})
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	return r, func() { cancel(); <-done }
}

// Settings returns how the engine of a configuration is reached, with what its files hold
// now.
func Settings(cfg *config.Config) (wire.Settings, error) {
	f := cfg.Fleet
	s := wire.Settings{Endpoints: f.Engine, Prefix: f.Prefix, User: f.User}
	var password []byte
	for _, file := range []struct {
		path string
		to   *[]byte
	}{{f.TLS.CA, &s.CA}, {f.TLS.Cert, &s.Cert}, {f.TLS.Key, &s.Key}, {f.PasswordFile, &password}} {
		if file.path == "" {
			continue
		}
		data, err := files.ReadSmall(file.path)
		if err != nil {
			return wire.Settings{}, fmt.Errorf("reaching the engine: %s: %w", file.path, err)
		}
		*file.to = data
	}
	s.Password = string(bytes.TrimSpace(password))
	return s, nil
}
