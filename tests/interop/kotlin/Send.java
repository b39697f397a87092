import com.segment.analytics.kotlin.core.RequestFactory;
import com.segment.analytics.kotlin.core.compat.ConfigurationBuilder;
import com.segment.analytics.kotlin.core.compat.JavaAnalytics;
import com.segment.analytics.kotlin.core.utilities.InMemoryStorageProvider;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import kotlinx.serialization.json.Json;
import kotlinx.serialization.json.JsonElementKt;
import kotlinx.serialization.json.JsonObject;

/** Makes the calls of a file with the unmodified Kotlin SDK, as an app: {@code Send.java CALLS HOST WRITE_KEY}. */
public class Send {
  /** The SDK speaks https only; an app behind TLS needs none of this. */
  static class PlainHttp extends RequestFactory {
    @Override
    public HttpURLConnection openConnection(String url) {
      return super.openConnection(url.replaceFirst("^https:", "http:"));
    }
  }

  static String text(JsonObject call, String name) {
    var value = call.get(name);
    return value == null ? null : JsonElementKt.getJsonPrimitive(value).getContent();
  }

  static JsonObject object(JsonObject call, String name) {
    return JsonElementKt.getJsonObject(call.get(name));
  }

  static void make(JavaAnalytics analytics, JsonObject call) {
    switch (text(call, "type")) {
      case "track" -> analytics.track(text(call, "event"), object(call, "properties"));
      case "identify" -> analytics.identify(text(call, "userId"), object(call, "traits"));
      case "screen" -> analytics.screen(text(call, "name"), object(call, "properties"));
      case "group" -> analytics.group(text(call, "groupId"), object(call, "traits"));
      case "alias" -> analytics.alias(text(call, "userId"));
      default -> throw new IllegalArgumentException(call.toString());
    }
  }

  public static void main(String[] arguments) throws Exception {
    var calls = JsonElementKt.getJsonArray(Json.Default.parseToJsonElement(Files.readString(Path.of(arguments[0]))));
    var host = URI.create(arguments[1]).getAuthority() + "/v1";
    var configuration =
        new ConfigurationBuilder(arguments[2])
            .setApplication("interop")
            .setApiHost(host)
            .setCdnHost(host)
            .setRequestFactory(new PlainHttp())
            .build();
    // Its files would outlive the test.
    configuration.setStorageProvider(new InMemoryStorageProvider());
    var analytics = new JavaAnalytics(configuration);
    for (var call : calls) {
      make(analytics, JsonElementKt.getJsonObject(call));
    }
    // It tries again what failed when it flushes next, by itself every 30 s.
    int quiet = 0;
    for (int round = 0; quiet < 3 && round < 60; round++) {
      analytics.flush();
      Thread.sleep(500);
      quiet = analytics.pendingUploads().isEmpty() ? quiet + 1 : 0;
    }
    if (quiet < 3) {
      System.err.println("not delivered: " + analytics.pendingUploads());
      System.exit(1);
    }
    System.out.println(calls.size());
    System.exit(0);
  }
}
