# Varnish with the whole set in memory: everything is cacheable, nothing expires during a run.
vcl 4.1;

backend origin {
  .host = "@ORIGIN_HOST@";
  .port = "@ORIGIN_PORT@";
}

sub vcl_backend_response {
  set beresp.ttl = 1d;
  set beresp.grace = 0s;
}
