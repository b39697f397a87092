import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import com.segment.analytics.Analytics;
import com.segment.analytics.Callback;
import com.segment.analytics.messages.*;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** Makes the calls of a file with the unmodified Java SDK: {@code Send.java CALLS HOST WRITE_KEY}. */
public class Send {
  @SuppressWarnings("unchecked")
  static Map<String, Object> map(Map<String, Object> call, String name) {
    return (Map<String, Object>) call.getOrDefault(name, Map.of());
  }

  static MessageBuilder<?, ?> builder(Map<String, Object> call) {
    String name = (String) call.get("name");
    return switch ((String) call.get("type")) {
      case "track" -> TrackMessage.builder((String) call.get("event")).properties(map(call, "properties"));
      case "identify" -> IdentifyMessage.builder().traits(map(call, "traits"));
      case "page" -> PageMessage.builder(name).properties(map(call, "properties"));
      case "screen" -> ScreenMessage.builder(name).properties(map(call, "properties"));
      case "group" -> GroupMessage.builder((String) call.get("groupId")).traits(map(call, "traits"));
      case "alias" -> AliasMessage.builder((String) call.get("previousId"));
      default -> throw new IllegalArgumentException(call.toString());
    };
  }

  public static void main(String[] arguments) throws Exception {
    var type = new TypeToken<List<Map<String, Object>>>() {}.getType();
    List<Map<String, Object>> calls = new Gson().fromJson(Files.readString(Path.of(arguments[0])), type);
    var delivered = new CountDownLatch(calls.size());
    var failure = new AtomicReference<Throwable>();
    var callback =
        new Callback() {
          @Override
          public void success(Message message) {
            delivered.countDown();
          }

          @Override
          public void failure(Message message, Throwable reason) {
            failure.set(reason);
            delivered.countDown();
          }
        };
    var analytics = Analytics.builder(arguments[2]).endpoint(arguments[1]).callback(callback).build();
    for (var call : calls) {
      var builder = builder(call).timestamp(Date.from(Instant.parse((String) call.get("timestamp"))));
      if (call.get("userId") instanceof String userId) {
        builder.userId(userId);
      }
      if (call.get("anonymousId") instanceof String anonymousId) {
        builder.anonymousId(anonymousId);
      }
      analytics.enqueue(builder);
    }
    analytics.flush();
    boolean complete = delivered.await(90, TimeUnit.SECONDS);
    analytics.shutdown();
    if (!complete || failure.get() != null) {
      System.err.println("not delivered: " + delivered.getCount() + ", " + failure.get());
      System.exit(1);
    }
    System.out.println(calls.size());
    System.exit(0);
  }
}
