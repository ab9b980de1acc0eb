/* Anchor of `npm run bench`: fault handling and notifier dispatch in C, through function pointers. */
// fault handling RO->RW + notifier dispatch to N subscribers through function pointers (range_start,range_end), each subscriber counts or filters PROTECTION_UPGRADE; CPU seconds
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <time.h>
#include <string.h>
struct range{uint32_t start,end;int ev;uint32_t flags;void*mm;};
struct sub{int(*start)(struct sub*,struct range*);void(*end)(struct sub*,struct range*);uint32_t mask;uint64_t inv,filt;uint32_t tlb[64];};
static int st(struct sub*s,struct range*r){ if(!(s->mask>>r->ev&1)){s->filt++;return 0;} for(uint32_t p=r->start;p<r->end;p++){uint32_t*e=&s->tlb[p&63]; if(*e==p+1){*e=0;s->inv++;}} return 0;}
static void en(struct sub*s,struct range*r){ (void)s;(void)r; __asm__ volatile(""); }
struct vma{uint32_t s,e,fl;}; static struct vma vmas[64]; static int nv=16;
static uint32_t *pt; static struct sub subs[16]; static int ns; static volatile uint32_t ptl; static uint32_t pfn;
static struct vma*find(uint32_t p){int lo=0,hi=nv; while(lo<hi){int m=(lo+hi)>>1; if(vmas[m].e<=p)lo=m+1;else hi=m;} return lo<nv&&vmas[lo].s<=p?&vmas[lo]:0;}
static __attribute__((noinline)) int fault(uint32_t p,int w){ struct vma*v=find(p); if(!v||(w&&!(v->fl&2)))return -1; int ch=0; ptl=1; uint32_t e=pt[p]; if(!e){pt[p]=(++pfn<<3)|1|(w?2:0);} else if(w&&!(e&2)){pt[p]=e|2|4;ch=1;} ptl=0;
 if(ch){struct range r={p,p+1,3,0,0}; for(int i=0;i<ns;i++)subs[i].start(&subs[i],&r); for(int i=0;i<ns;i++)subs[i].end(&subs[i],&r);} return ch; }
int main(int c,char**v){ uint32_t N=1<<16; pt=calloc(N,4); for(int i=0;i<nv;i++)vmas[i]=(struct vma){i*(N/nv),(i+1)*(N/nv),3};
 for(int R=0;R<3;R++) for(ns=0;ns<=10;ns=ns==0?1:ns==1?3:ns==3?10:11){ for(int i=0;i<ns;i++)subs[i]=(struct sub){st,en,i%3==2?0:1<<3,0,0,{0}};
  long ops=0; struct timespec a,b; double s=0; for(int k=0;k<60;k++){ for(uint32_t i=0;i<N;i++)pt[i]=(i<<3)|1; clock_gettime(CLOCK_PROCESS_CPUTIME_ID,&a); for(uint32_t i=0;i<N;i++){ uint32_t p=(i*40503u)&(N-1); ops+=fault(p,1); } clock_gettime(CLOCK_PROCESS_CPUTIME_ID,&b); s+=(b.tv_sec-a.tv_sec)+(b.tv_nsec-a.tv_nsec)/1e9; }
  printf("C fault+notify subs=%d %.1f Mops/s (%.1f ns)\n",ns,ops/s/1e6,s*1e9/ops); } }
