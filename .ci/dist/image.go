package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// image writes a container image of one platform: a tar archive that is an OCI image
// layout (podman load, skopeo copy oci-archive:) and has Docker's list, too (docker load).
// In it are the programs, the users, the roots of CAs, and no shell.
func (b *build) image() (string, error) {
	files, err := b.imageFiles()
	if err != nil {
		return "", err
	}
	layer, err := tarball(files, b.written)
	if err != nil {
		return "", err
	}
	blobs := map[string][]byte{}
	add := func(mediaType string, data []byte) descriptor {
		d := descriptor{MediaType: mediaType, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(data)), Size: len(data)}
		blobs["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")] = data
		return d
	}
	layerBlob := add("application/vnd.oci.image.layer.v1.tar+gzip", zipped(layer))
	config := add("application/vnd.oci.image.config.v1+json", toJSON(b.imageConfig(fmt.Sprintf("sha256:%x", sha256.Sum256(layer)))))
	manifest := add("application/vnd.oci.image.manifest.v1+json", toJSON(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []descriptor{layerBlob},
	}))
	tag := strings.ReplaceAll(b.version, "+", "-")
	// podman and containerd take the image's name from the second one.
	manifest.Annotations = map[string]string{"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": "localhost/keypaird:" + tag}
	blobs["oci-layout"] = []byte(`{"imageLayoutVersion":"1.0.0"}`)
	blobs["index.json"] = toJSON(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []descriptor{manifest}})
	blobs["manifest.json"] = toJSON([]map[string]any{{
		"Config": blobPath(config), "RepoTags": []string{"keypaird:" + tag}, "Layers": []string{blobPath(layerBlob)},
	}})
	var all []file
	for name, data := range blobs {
		all = append(all, file{path: name, data: data, mode: 0o644})
	}
	data, err := tarball(all, b.written)
	if err != nil {
		return "", err
	}
	name := b.name() + ".oci.tar"
	return name, os.WriteFile(filepath.Join(b.out, name), data, 0o644)
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func blobPath(d descriptor) string { return "blobs/" + strings.ReplaceAll(d.Digest, ":", "/") }

// imageFiles returns the files of the one layer. keypaird starts as root there: it
// then gives each program that it starts a user of its own.
func (b *build) imageFiles() ([]file, error) {
	files, err := b.programFiles(debian)
	if err != nil {
		return nil, err
	}
	system, err := readAll(map[string]string{
		b.roots:                     "/etc/ssl/certs/ca-certificates.crt",
		"examples/container/passwd": "/etc/passwd",
		"examples/container/group":  "/etc/group",
		"LICENSE":                   "/usr/share/doc/keypaird/LICENSE",
	})
	if err != nil {
		return nil, err
	}
	return slices.Concat(files, system, []file{
		{path: "/etc/keypaird/", mode: 0o700}, {path: "/var/lib/keypaird/", mode: 0o700}, {path: "/tmp/", mode: 0o1777},
	}), nil
}

func (b *build) imageConfig(layer string) map[string]any {
	c := map[string]any{
		"created": b.written.Format("2006-01-02T15:04:05Z"), "os": b.os, "architecture": b.arch,
		"config": map[string]any{
			"Entrypoint": []string{"/usr/bin/keypaird"}, "Cmd": []string{"run"},
			"Env": []string{"PATH=/usr/bin"}, "WorkingDir": "/", "StopSignal": "SIGTERM",
			"Volumes": map[string]any{"/var/lib/keypaird": map[string]any{}},
			"Labels":  map[string]string{"org.opencontainers.image.title": "keypaird", "org.opencontainers.image.version": b.version, "org.opencontainers.image.licenses": "ISC"},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layer}},
	}
	if b.arch == "arm" {
		c["variant"] = "v7"
	}
	return c
}

// toJSON encodes what cannot fail; keys of maps are sorted.
func toJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
