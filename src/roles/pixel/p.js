// The pixel's script. What is served is this text without comments and indentation, below 1 kB as gzip; a test measures it.
// Hence the short names. u, r, t: the page's address, referrer, title; k: the write key; p: where to send; c: the content;
// s: engaged seconds, m: those that were told, a: the time of the last activity; q: what waits to be sent; x: the
// address of each content that pages named.
// A strict Content-Security-Policy needs `script-src` and `connect-src` for the pixel's host, and nothing else.
((d,l)=>{
  let e=d.currentScript,p=e.src.replace(/\.js.*/,""),k=e.dataset.writeKey,q=Promise.resolve(),r=d.referrer,a=Date.now(),x={},u,t,c,s,m,
  // send. One after the other: the first answer brings the cookie that the next request has to carry. On the way out
  // there is no time for that.
  f=(event,properties,out)=>{
    let body=JSON.stringify({writeKey:k,event,properties,url:u,ref:r,title:t})
    out?navigator.sendBeacon(p,body):q=q.then(e=>fetch(p,{method:"POST",mode:"no-cors",credentials:"include",keepalive:!0,body})).catch(e=>e)
  },
  // What the page is about; who says it first, counts. What a page says itself, counts at the address at which it was
  // first seen: an application that moves on without a load may leave there what it said of the page before.
  b=(i,content_type,title)=>c||content_type&&u!=(x[i||title]??=u)||(c={content_id:i||l.pathname,content_type,title}),
  g=e=>d.querySelector(`[property="og:${e}"]`)?.content,
  // engaged. Cumulative: the greatest one counts.
  h=e=>s>m&&f(c&&s>14?"Article Read":"Page Engaged",{engaged_seconds:m=s,...c},e),
  // view
  v=e=>{
    e=l.href.split("#")[0]
    if(e!=u){
      if(u)h(),r=u
      u=e
      t=d.title
      c=s=m=0
      f()
      // By its address, else as it says it to search engines, else to social networks.
      e="CONTENT_URL_PATTERN"
      e&&(e=l.pathname.match(e))&&b(e[1]||e[0])
      d.querySelectorAll('[type$="ld+json"]').forEach(e=>{
        try{
          e=JSON.parse(e.text),[].concat(e["@graph"]||e).forEach(e=>/Article|Posting|Video|Episode/.test(e["@type"])&&b(e.identifier?.value||e.identifier||e["@id"]||e.url,e["@type"],e.headline||e.name))
        }catch{}
      })
      e=g("type")
      if(/article|video/.test(e))b(g("url"),e,g("title"))
      c&&f("Article Viewed",c)
    }
  },
  // Sites change the title after the address.
  y=e=>setTimeout(v,99),
  o=(n,f)=>n.split(" ").forEach(e=>addEventListener(e,f,!0)),
  z=history.pushState
  history.pushState=(...e)=>{
    z.apply(history,e)
    y()
  }
  o("scroll keydown pointerdown pointermove",e=>a=Date.now())
  o("popstate",y)
  o("pagehide",h)
  o("pageshow",e=>e.persisted&&v(u=0))
  setInterval(e=>!d.hidden&&Date.now()-a<3e4&&/^(15|60|180)$/.test(++s)&&h(),1e3)
  window.momsflow={track:(e,o)=>f(e,o)}
  d.prerendering?d.addEventListener("prerenderingchange",v):v()
})(document,location)
