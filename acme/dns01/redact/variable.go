package redact

import (
	"regexp"
	"strings"
	"sync"
)

var (
	secretPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`SECRET|TOKEN|PASS|KEY|HMAC|CREDENTIAL|SIGNATURE|OTP|SERVICE_ACCOUNT|_PWD$|_PW$`)
	})
	harmlessPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`TSIG_KEY$|_(ID|ALGORITHM|KEY_NAME|URL|ENDPOINT|TTL|TIMEOUT|INTERVAL|PATH|LOCATION)$`)
	}) // TSIG_KEY is the key's name
	userInfoPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`://[^/@\s]*:[^/@\s]*@`) })
)

// IsSecret reports whether a variable of a provider is likely to hold a secret.
func IsSecret(key, value string) bool {
	return secretPattern().MatchString(key) && !harmlessPattern().MatchString(key) ||
		strings.Contains(value, "PRIVATE KEY-----") || userInfoPattern().MatchString(value)
}
