-- /etc/prosody/conf.d/example.org.cfg.lua: keypaird writes example.org.crt and .key into
-- /etc/prosody/certs, where Prosody finds them by the names they are for.
VirtualHost "example.org"

Component "conference.example.org" "muc"
